"""Pretrained judges over transformers, clean-fid, torch-fidelity and torchmetrics, from local files."""
