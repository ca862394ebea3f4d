"""Weights from folders, single files and the hub: found, checked by hash, made into ordinary folders. No torch."""
