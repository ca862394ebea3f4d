"""The slices that a cell is sampled in: halved where memory runs out, and noted as they come.

`slices.jsonl` beside the images has a line a slice: its seconds, how many images were sampled at once, and a hash of
the place (machine, threads) it was sampled in. The line of a slice is written before its images: a slice that is cut
short by a crash is sampled again whole, and its last line counts.
"""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import FewstepError
from methods.interface import Method, SampleRequest

NAME = "slices.jsonl"


@dataclass(frozen=True)
class Slice:
    """How slice `index` was sampled: the most images in one call, and a hash of the machine and its threads."""

    index: int
    seconds: float
    at_once: int
    place: str


def place_key(place: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of a place."""
    return hashlib.sha256(json.dumps(dict(place), sort_keys=True).encode()).hexdigest()[:16]


class SliceLog:
    """The slices of one folder of images, in the order of their numbers."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def read(self) -> dict[int, Slice]:
        """What is known of each slice; a line that was cut short is nothing."""
        found = {}
        if self._path.is_file():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                item = _parsed(line)
                if item is not None:
                    found[item.index] = item
        return dict(sorted(found.items()))

    def add(self, item: Slice) -> None:
        """Note one slice."""
        with self._path.open("ab") as file:  # in one write, behind whatever a crash left of a line
            start = b"\n" if file.tell() and not self._ends_well() else b""
            file.write(start + json.dumps(asdict(item)).encode() + b"\n")

    def _ends_well(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, 2)
            return file.read() == b"\n"


class HalvingSampler:
    """Samples slices in one call each, until memory runs out: then in calls of half as many, from there on.

    Args:
        method: what samples.
        at_once: the most images in one call.
    """

    def __init__(self, method: Method, at_once: int) -> None:
        self._method = method
        self.at_once = at_once

    def sample(self, request: SampleRequest) -> tuple[Tensor, float]:
        """uint8 (N, 3, H, W), and the seconds that the calls which gave them took.

        Raises:
            FewstepError: where there is no memory for one image.
        """
        while True:
            try:
                start = time.perf_counter()
                found = [self._method.sample(part) for part in parts(request, self.at_once)]
                images = found[0] if len(found) == 1 else torch.cat(found)
                return images, time.perf_counter() - start
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                at_once = min(self.at_once, len(request.prompts))
            if at_once == 1:
                raise FewstepError(
                    "out of memory with one image at once; free some, or use --dtype float16, --offload model or "
                    "--slicing"
                )
            self.at_once = at_once // 2
            _free()


def parts(request: SampleRequest, size: int) -> Iterator[SampleRequest]:
    """`request` in pieces of at most `size` images; itself where it is no longer."""
    if len(request.prompts) <= size:
        yield request
        return
    for start in range(0, len(request.prompts), size):
        end = start + size
        yield replace(request, prompts=request.prompts[start:end], seeds=request.seeds[start:end])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in text for words in ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
    )


def halved(slices: Mapping[int, Slice], batch_size: int) -> dict[str, list[int]]:
    """Images at once -> the slices sampled so, for those that were sampled in fewer at once than asked for."""
    found: dict[str, list[int]] = {}
    for index, item in slices.items():
        if item.at_once < batch_size:
            found.setdefault(str(item.at_once), []).append(index)
    return found


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _parsed(line: str) -> Slice | None:
    try:
        item = Slice(**json.loads(line))
        return item if item.index >= 0 and item.seconds >= 0 and item.at_once >= 1 else None
    except (ValueError, TypeError, RecursionError):
        return None
