"""What `bench train --teacher` was asked for, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError

METHODS = ("add", "lcm", "lcm-lora", "pd")
DTYPES = ("float32", "bfloat16")
DEFAULT_OUT = Path("runs/fullscale")
DEFAULT_FEATURES = "facebook/dinov2-small"
SIZE_MULTIPLE = 8


@dataclass(frozen=True)
class FullScale:
    """A training of one student from a teacher of any size.

    `batch_size` is that of a step: of all processes and micro-batches together. `steps` are those of each round where a
    method has several. `teacher` and `features` are folders or names on the hub. `dtype` None is bfloat16 on a GPU,
    float32 on a CPU; `learning_rate` None is the method's own.

    Raises:
        UsageError: for values that make no sense, naming the option.
    """

    method: str
    teacher: str
    data: Path | None = None
    out: Path = DEFAULT_OUT
    resolution: int = 512
    batch_size: int = 128
    accumulation: int = 1
    steps: int = 4000
    dtype: str | None = None
    gradient_checkpointing: bool = False
    learning_rate: float | None = None
    features: str = DEFAULT_FEATURES
    seed: int = 0
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"{self.method!r} cannot be trained from --teacher; there are {', '.join(METHODS)}")
        for name in ("batch_size", "accumulation", "steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: at least 1")
        if self.resolution < SIZE_MULTIPLE or self.resolution % SIZE_MULTIPLE:
            raise UsageError(f"--resolution {self.resolution}: a positive multiple of {SIZE_MULTIPLE}")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise UsageError(f"--dtype {self.dtype}: one of {', '.join(DTYPES)}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise UsageError(f"--learning-rate {self.learning_rate:g}: above 0")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: at least 0")
        self.micro_batch(1)

    def micro_batch(self, processes: int) -> int:
        """Samples that a process has at a time.

        Raises:
            UsageError: where the batch does not divide.
        """
        if self.batch_size % (processes * self.accumulation):
            raise UsageError(
                f"--batch-size {self.batch_size} does not divide into {processes} processes x --accumulation"
                f" {self.accumulation}; give a multiple of {processes * self.accumulation}"
            )
        return self.batch_size // (processes * self.accumulation)
