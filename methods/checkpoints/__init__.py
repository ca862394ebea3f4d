"""Released checkpoints as data: where each comes from and how its authors sample it. Nothing here imports torch."""
