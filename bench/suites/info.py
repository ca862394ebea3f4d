"""What a suite is, as plain data: read while a run is planned, so importing this imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SuiteInfo:
    """`metrics` are the names measured by default; `prompts` is how many there are.

    `manifest` is a file that changes whenever a checkpoint or a judge of the suite does (its list of hashes): records
    made under another manifest are checked again before they count as done. None where the suite has no such file.
    `own_family` says that its judges see the images of its own networks alone, so that `--family` makes no sense.
    """

    name: str
    title: str
    prompts: int
    default_limit: int
    metrics: tuple[str, ...]
    image_size: int
    manifest: Path | None = None
    own_family: bool = False
