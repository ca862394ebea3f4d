"""The numerics of a run, set in one place and undone afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


@contextmanager
def fixed_numerics(device: str) -> Iterator[Mapping[str, str | bool | int]]:
    """Full float32 products (no TF32), no algorithm search and, on CUDA, deterministic kernels where there are any.

    Yields what was set, for the record. Every setting is back to what it was on leaving.
    """
    before = (
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    deterministic = device == "cuda"
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; cuBLAS needs it
    try:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(deterministic or before[4], warn_only=True)
        yield {
            "float32_matmul_precision": "highest",
            "tf32": False,
            "cudnn_benchmark": False,
            "deterministic": deterministic,
            "threads": torch.get_num_threads(),
        }
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
        torch.backends.cudnn.benchmark = before[2]
        torch.backends.cudnn.deterministic = before[3]
        torch.use_deterministic_algorithms(before[4], warn_only=before[5])


def current_numerics() -> dict[str, str | bool | int]:
    """The settings as they are, for the record of a measurement that leaves them alone."""
    return {
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
    }
