"""All metrics of a cell, which share one read of the images and one pass a network, against torchmetrics' in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.multimodal import CLIPScore

from bench.images import ImageStore
from bench.judging import Judges, Prompt
from bench.measure import Judgement
from bench.metrics.clip import ClipShim
from bench.metrics.reference import _known
from bench.suites.interface import Suite, SuiteInfo
from bench.suites.shapes.suite import ShapesSuite
from tests.metrics.tiny import tiny_clip

IMAGES, SIDE, ROUNDS, WIDTH, CLASSES = 1000, 32, 3, 64, 10
METRICS = ("fd-shapes", "kid-shapes", "inception-score", "clip-shapes")
"""What torchmetrics has of the same kind."""


class Network(nn.Module):
    """Large enough that its passes matter, as Inception's do: 32-pixel images to 64 features."""

    num_features = WIDTH

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Conv2d(3, 64, 5), nn.ReLU(), nn.Conv2d(64, 128, 5, stride=2), nn.ReLU(),
                nn.Conv2d(128, WIDTH, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
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

    def classes(self, features: Tensor) -> Tensor:
        """Of the Inception score."""
        return (features @ last_layer()).double().softmax(dim=1)


def last_layer() -> Tensor:
    return 4 * torch.randn(WIDTH, CLASSES, generator=torch.Generator().manual_seed(1))


class Logits(Network):
    """The same network up to its logits, as torchmetrics' Inception score takes it."""

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) @ last_layer()


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
    images = torch.randint(0, 256, (2 * IMAGES, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    store = ImageStore(tmp_path_factory.mktemp("speed"))
    store.open({})
    store.write(prompts, images[:IMAGES])
    return store, prompts, images[IMAGES:]


def ours(suite: Suite, store: ImageStore, prompts: list[Prompt], folder: Path) -> dict[str, float]:
    """Four metrics as a cell is judged, with nothing cached."""
    judgement = Judgement(suite, METRICS, prompts, 0, "cpu")
    return {quantity.name: quantity.value for quantity in judgement.measure(store, folder).quantities}


def in_turn(clip: Any, store: ImageStore, prompts: list[Prompt], reference: Tensor) -> dict[str, float]:
    """torchmetrics' four, one after the other: each reads the images and runs its network."""
    network = Network().eval()
    values = {}
    fid: Any = FrechetInceptionDistance(feature=network)
    kid: Any = KernelInceptionDistance(feature=network, subsets=100, subset_size=200)
    for name, metric in (("fd-shapes", fid), ("kid-shapes", kid)):
        for block in torch.split(reference, 50):
            metric.update(block, real=True)
        for start in range(0, IMAGES, 50):
            metric.update(store.read(prompts[start : start + 50]), real=False)
        result = metric.compute()
        values[name] = float(result[0] if isinstance(result, tuple) else result)
    inception: Any = InceptionScore(feature=Logits().eval(), splits=1)
    for start in range(0, IMAGES, 50):
        inception.update(store.read(prompts[start : start + 50]))
    values["inception-score"] = float(inception.compute()[0])
    score = CLIPScore(lambda: (ClipShim(clip.model), clip.processor))  # type: ignore[arg-type]
    for start in range(0, IMAGES, 50):
        chosen = prompts[start : start + 50]
        score.update(store.read(chosen), [prompt.text for prompt in chosen])
    values["clip-shapes"] = float(score.compute())
    return values


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """(wall, processor)."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def test_sharing_against_running_in_turn(
    benchmark: BenchmarkFixture,
    stored: tuple[ImageStore, list[Prompt], Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Interleaved rounds; the values agree (KID is of subsets there), so the same work was done."""
    monkeypatch.setattr("bench.metrics.inception.fidelity_inception", lambda *_: Extractor())
    store, prompts, reference = stored
    clip = tiny_clip()
    suite = SpeedSuite(reference)
    theirs = in_turn(clip, store, prompts, reference)
    mine = ours(suite, store, prompts, tmp_path / "first")
    assert mine["fd-shapes"] == pytest.approx(theirs["fd-shapes"], rel=1e-3)  # torchmetrics' sums are float32's
    assert mine["inception-score"] == pytest.approx(theirs["inception-score"], rel=1e-4)
    assert mine["clip-shapes"] == pytest.approx(theirs["clip-shapes"], rel=1e-4, abs=1e-3)
    times: dict[str, list[tuple[float, float]]] = {"shared": [], "in turn": []}
    for round_ in range(ROUNDS):
        _known.clear()  # statistics of the reference, kept by content for the cells of a run
        times["shared"].append(seconds(partial(ours, suite, store, prompts, tmp_path / str(round_))))
        times["in turn"].append(seconds(partial(in_turn, clip, store, prompts, reference)))
    for place, kind in enumerate(("", "_processor")):
        shared, turn = (statistics.median(run[place] for run in times[name]) for name in ("shared", "in turn"))
        benchmark.extra_info[f"torchmetrics_in_turn_over_shared{kind}"] = turn / shared
        print(f"torchmetrics in turn {turn:.2f} s, shared {shared:.2f} s, {turn / shared:.2f} times{kind}")  # noqa: T201
    benchmark.pedantic(ours, args=(suite, store, prompts, tmp_path / "last"), rounds=1)
