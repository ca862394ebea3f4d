"""The shapes suite: prompts, judges, reference and checkpoints, all embedded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.errors import UsageError, WeightsError
from bench.judging import Judges, Prompt
from bench.suites.interface import Suite
from bench.suites.shapes.captions import captions
from bench.suites.shapes.info import INFO
from bench.suites.shapes.judges.load import load_judges
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import WORLD, make_scenes
from bench.suites.shapes.zoo import Zoo, default_zoo
from methods.hub.places import cache_folder

REFERENCE = range(10_000, 20_000)
"""The reference images: of the test split, after every prompt that can be asked for."""

_CHUNK = 500


class ShapesSuite(Suite):
    """Prompt i is the caption of test image i; the teacher and all students learned from the train split alone."""

    info = INFO

    def __init__(self, zoo: Zoo | None = None) -> None:
        self._zoo = zoo
        self._judges: dict[torch.device, Judges] = {}

    @property
    def zoo(self) -> Zoo:
        """The weights; read on first use."""
        if self._zoo is None:
            self._zoo = default_zoo()
        return self._zoo

    def prompts(self, limit: int | None = None) -> list[Prompt]:
        """The first `limit` prompts (1,000 where None).

        Raises:
            UsageError: for a limit outside 1..10,000.
        """
        n = self.info.default_limit if limit is None else limit
        if not 1 <= n <= self.info.prompts:
            raise UsageError(f"limit {n}: the shapes suite has 1 to {self.info.prompts:,} prompts")
        scenes = make_scenes("test", range(n))
        categories = (f"{count} object{'s' if count > 1 else ''}" for count in scenes.count.tolist())
        texts = enumerate(zip(captions(scenes), categories, strict=True))
        return [Prompt(id=f"{i:05d}", text=text, category=category) for i, (text, category) in texts]

    def judges(self, device: torch.device) -> Judges:
        """The judges on `device`, loaded once."""
        if device not in self._judges:
            self._judges[device] = load_judges(self.zoo, device)
        return self._judges[device]

    def reference_features(self, extractor: str) -> Tensor:
        """float32 (10000, 96): recogniser features of the reference images, computed once and cached."""
        recogniser = self.judges(torch.device("cpu")).recogniser
        if recogniser is None or extractor != recogniser.name:
            raise WeightsError(f"the shapes suite has no extractor {extractor!r}")
        path = (
            cache_folder()
            / "reference"
            / f"{recogniser.name}-{recogniser.weights_hash[:12]}-world{WORLD}-{len(REFERENCE)}.safetensors"
        )
        if not path.exists():
            features = torch.cat([recogniser(images) for images in reference_images()])
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            save_file({"features": features}, partial)
            partial.replace(path)
        return load_file(path)["features"]

    def reference_images(self) -> Iterator[Tensor]:
        """The 10,000 reference images."""
        return reference_images()

    def real_images(self, prompts: Sequence[Prompt]) -> Tensor:
        """The image that each caption was made from; none of them is a reference image."""
        return render(make_scenes("test", [int(prompt.id) for prompt in prompts]))

    @property
    def reference_protocol(self) -> str:
        return f"{len(REFERENCE)} real images, world {WORLD} of shapes test {REFERENCE.start}..{REFERENCE.stop - 1}"

    def baseline_preference(self, prompts: Sequence[Prompt], seed: int) -> Tensor | None:
        """The teacher's scores at 25 steps, which ship for seed 0 and the suite's default prompts."""
        stored = self.zoo.tensors("baseline").get(f"seed-{seed}")
        indices = [int(prompt.id) for prompt in prompts]
        if stored is None or max(indices) >= len(stored):
            return None
        return stored[indices]

    def checkpoint(self, name: str) -> Path:
        """The pipeline folder of `name`: its own where the zoo has one, the teacher's for the `sdxl` baselines."""
        return self.zoo.pipeline("teacher" if name.split("-")[0] == "sdxl" else name)


def reference_images() -> Iterator[Tensor]:
    """uint8 (500, 3, 32, 32) at a time."""
    for start in range(REFERENCE.start, REFERENCE.stop, _CHUNK):
        yield render(make_scenes("test", range(start, start + _CHUNK)))
