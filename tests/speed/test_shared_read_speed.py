"""All metrics of a cell, which share one read of the images and one pass a network, against torchmetrics' in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.multimodal import CLIPScore

from bench.images import ImageStore
from bench.judging import Judges, Prompt
from bench.measure import Judgement
from bench.metrics.clip import ClipShim
from bench.suites.interface import Suite, SuiteInfo
from bench.suites.shapes.suite import ShapesSuite
from tests.metrics.tiny import tiny_clip

IMAGES, SIDE, ROUNDS, WIDTH = 300, 128, 3, 64
METRICS = ("fd-shapes", "kid-shapes", "clip-shapes")


class Network(nn.Module):
    """Large enough that its passes matter: 128-pixel images to 64 features."""

    num_features = WIDTH

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Conv2d(3, 32, 5, stride=2), nn.ReLU(), nn.Conv2d(32, 64, 5, stride=2), nn.ReLU(),
                nn.Conv2d(64, WIDTH, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            )  # fmt: skip

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images.float() / 255)


class Extractor:
    name, weights_hash, resize = "conv", "0" * 64, "none"

    def __init__(self) -> None:
        self.network = Network().eval()

    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat([self.network(block) for block in torch.split(images, 50)])


class SpeedSuite(ShapesSuite):
    """Captions of the shapes, other judges."""

    info = SuiteInfo("speed", "speed", IMAGES, IMAGES, METRICS, SIDE)

    def __init__(self, reference: Tensor) -> None:
        super().__init__()
        self._reference = reference
        self._clip = tiny_clip()

    def judges(self, device: torch.device) -> Judges:
        return Judges(recogniser=Extractor(), clip=self._clip)

    def reference_features(self, extractor: str) -> Tensor:
        return Extractor()(self._reference)

    def baseline_preference(self, prompts: Any, seed: int) -> None:
        return None


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageStore, list[Prompt], Tensor]:
    """Noisy images on disk, their prompts, and a reference."""
    prompts = ShapesSuite().prompts(IMAGES)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2 * IMAGES, 3, SIDE // 4, SIDE // 4), generator=generator, dtype=torch.uint8)
    images = torch.nn.functional.interpolate(images.float(), size=SIDE, mode="bilinear").byte()
    store = ImageStore(tmp_path_factory.mktemp("speed"))
    store.open({})
    store.write(prompts, images[:IMAGES])
    return store, prompts, images[IMAGES:]


def ours(suite: Suite, store: ImageStore, prompts: list[Prompt], folder: Path) -> dict[str, float]:
    """Three metrics as a cell is judged, with nothing cached."""
    judgement = Judgement(suite, METRICS, prompts, 0, "cpu")
    return {quantity.name: quantity.value for quantity in judgement.measure(store, folder).quantities}


def in_turn(clip: Any, store: ImageStore, prompts: list[Prompt], reference: Tensor) -> dict[str, float]:
    """torchmetrics' three, one after the other: each reads the images and runs its network."""
    network = Network().eval()
    values = {}
    fid: Any = FrechetInceptionDistance(feature=network)
    kid: Any = KernelInceptionDistance(feature=network, subsets=10, subset_size=100)
    for name, metric in (("fd-shapes", fid), ("kid-shapes", kid)):
        for block in torch.split(reference, 50):
            metric.update(block, real=True)
        for start in range(0, IMAGES, 50):
            metric.update(store.read(prompts[start : start + 50]), real=False)
        result = metric.compute()
        values[name] = float(result[0] if isinstance(result, tuple) else result)
    score = CLIPScore(lambda: (ClipShim(clip.model), clip.processor))  # type: ignore[arg-type]
    for start in range(0, IMAGES, 50):
        chosen = prompts[start : start + 50]
        images = torch.nn.functional.interpolate(store.read(chosen).float(), size=32).byte()
        score.update(images, [prompt.text for prompt in chosen])
    values["clip-shapes"] = float(score.compute())
    return values


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
