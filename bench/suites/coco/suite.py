"""COCO 2017 validation as a suite: prompts are captions, the reference is the images, cut to a square and resized.

The paper says "5k samples from COCO2017" and leaves the rest open, so it is chosen here, written down and hashed: see
`description`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import UsageError, WeightsError
from bench.judging import Judges, Prompt
from bench.provenance import file_hash
from bench.suites.coco.info import IMAGES, SIZE, Pick, coco_info, read_picks
from bench.suites.interface import Suite
from bench.suites.pictures import CROP, RESIZE, read_square
from bench.suites.prompts.suite import no_checkpoint

_CHUNK = 64


class CocoSuite(Suite):
    """Prompt i is the chosen caption of image i, and the reference are all images of the set."""

    def __init__(self, folder: Path) -> None:
        self.info = coco_info(folder)
        self._folder = folder

    @cached_property
    def picks(self) -> tuple[Pick, ...]:
        """All images of the set, with the caption chosen for each."""
        return read_picks(self._folder)

    def prompts(self, limit: int | None = None) -> list[Prompt]:
        """The first `limit` captions (all where None); an id is COCO's image id.

        Raises:
            UsageError: for a limit outside 1 to all.
        """
        n = len(self.picks) if limit is None else limit
        if not 1 <= n <= len(self.picks):
            raise UsageError(f"limit {n}: {self.info.name} has 1 to {len(self.picks):,} prompts")
        return [Prompt(f"{pick.image_id:012d}", " ".join(pick.caption.split()), "all") for pick in self.picks[:n]]

    def judges(self, device: torch.device) -> Judges:
        """None: this suite is judged by pretrained networks, `--metric-weights`."""
        return Judges()

    def reference_features(self, extractor: str) -> Tensor:
        raise WeightsError(f"suite {self.info.name!r} has no recogniser")

    @property
    def reference_is_of_prompts(self) -> bool:
        return True

    def reference_images(self) -> Iterator[Tensor]:
        """All images, in the order of their ids."""
        for start in range(0, len(self.picks), _CHUNK):
            yield self._read(self.picks[start : start + _CHUNK])

    def real_images(self, prompts: Sequence[Prompt]) -> Tensor:
        """The image that each caption describes."""
        by_id = {pick.image_id: pick for pick in self.picks}
        return self._read([by_id[int(prompt.id)] for prompt in prompts])

    @cached_property
    def reference_protocol(self) -> str:
        """Count, crop, resize, and a hash over ids and the bytes of all image files."""
        return f"{len(self.picks)} images of COCO 2017 val, {CROP}, {RESIZE} to {SIZE}, {self._content[:12]}"

    @property
    def description(self) -> Mapping[str, Any]:
        return {
            "suite": self.info.name,
            "images": IMAGES,
            "order": "by image id",
            "caption": "the one of the lowest annotation id, white space joined",
            "crop": CROP,
            "resize": f"{RESIZE} to {SIZE} x {SIZE}",
            "image_and_annotation_ids": [[pick.image_id, pick.annotation_id] for pick in self.picks],
            "ids_and_captions_sha256": self._ids,
            "content_sha256": self._content,
        }

    def baseline_preference(self, prompts: Sequence[Prompt], seed: int) -> Tensor | None:
        return None

    def checkpoint(self, name: str) -> Path:
        raise WeightsError(no_checkpoint(self.info.name, name))

    @cached_property
    def _ids(self) -> str:
        digest = hashlib.sha256()
        for pick in self.picks:
            digest.update(f"{pick.image_id}\0{pick.annotation_id}\0{pick.caption}\0".encode())
        return digest.hexdigest()

    @cached_property
    def _content(self) -> str:
        digest = hashlib.sha256()
        for pick in self.picks:
            digest.update(f"{pick.image_id}\0{file_hash(self._folder / IMAGES / pick.file_name)}\0".encode())
        return digest.hexdigest()

    def _read(self, picks: Sequence[Pick]) -> Tensor:
        return torch.stack([read_square(self._folder / IMAGES / pick.file_name, SIZE) for pick in picks])
