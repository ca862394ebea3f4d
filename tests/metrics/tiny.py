"""Small judges with known answers, and real images of the shapes world to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from bench.judging import ClipJudge, Judges, Prompt
from bench.metrics.features import extract
from bench.metrics.interface import Metric, MetricBatch, MetricContext
from bench.suites.shapes.captions import captions
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes

LONGEST_TEXT = 24


def shapes(n: int, start: int = 0) -> Tensor:
    """uint8 (n, 3, 32, 32): real images of the test split."""
    return _rendered(n, start).clone()


@cache
def _rendered(n: int, start: int) -> Tensor:
    return render(make_scenes("test", range(start, start + n)))


def prompts(n: int, start: int = 0) -> list[Prompt]:
    """Their captions."""
    return list(_captioned(n, start))


@cache
def _captioned(n: int, start: int) -> tuple[Prompt, ...]:
    texts = captions(make_scenes("test", range(start, start + n)))
    return tuple(Prompt(id=f"{start + i:05d}", text=text, category="") for i, text in enumerate(texts))


@dataclass
class RandomExtractor:
    """Fixed random 5x5 edge filters, rectified and averaged over the image: 24 features; remembers its batches."""

    name: str = "random-filters"
    weights_hash: str = "a" * 64
    resize: str = "none"
    seed: int = 7
    batches: list[int] = field(default_factory=list)

    def __call__(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        filters = torch.randn((24, 3, 5, 5), generator=torch.Generator().manual_seed(self.seed))
        filters = (filters - filters.mean(dim=(2, 3), keepdim=True)) / 75**0.5
        return F.conv2d(images.float() / 127.5 - 1, filters, stride=2).relu().mean(dim=(2, 3))


@dataclass
class Brightness:
    """Prefers bright images: the mean pixel."""

    name: str = "brightness"
    weights_hash: str = "b" * 64

    def __call__(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        assert len(images) == len(prompts)
        return images.float().mean(dim=(1, 2, 3))


@dataclass
class BrightEnough:
    """1.0 where the mean pixel is above 128."""

    name: str = "bright-enough"
    weights_hash: str = "c" * 64

    def __call__(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        return (Brightness()(images, prompts) > 128).float()


class TinyProcessor:
    """Images to [-1, 1]; texts to one token a word, with start and end tokens, cut before the end token."""

    start, end, pad = 1, 2, 0

    def __call__(
        self,
        text: Sequence[str] | None = None,
        images: Sequence[Tensor] | None = None,
        return_tensors: str = "pt",
        padding: bool = True,
    ) -> dict[str, Tensor]:
        assert return_tensors == "pt"
        assert padding
        out: dict[str, Tensor] = {}
        if images is not None:
            out["pixel_values"] = torch.stack(list(images)).float() / 127.5 - 1
        if text is not None:
            rows = [self._tokens(line) for line in text]
            width = max(len(row) for row in rows)
            out["input_ids"] = torch.tensor([row + [self.pad] * (width - len(row)) for row in rows])
            out["attention_mask"] = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        return out

    def _tokens(self, line: str) -> list[int]:
        words = [3 + sum(word.encode()) % 90 for word in line.split()]
        return [self.start, *words[: LONGEST_TEXT - 2], self.end]


def tiny_clip(seed: int = 1) -> ClipJudge:
    """A random CLIPModel of a few thousand weights on 32x32 images; with seed 0 its mean cosine is negative."""
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**tower, "vocab_size": 100, "max_position_embeddings": LONGEST_TEXT, "eos_token_id": 2, "bos_token_id": 1}
    vision = {**tower, "image_size": 32, "patch_size": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).eval()
    return ClipJudge(name="tiny-clip", weights_hash="d" * 64, model=model, processor=TinyProcessor())


def context(reference: Tensor | None = None, baseline: Tensor | None = None, **judges: Any) -> MetricContext:
    """A context with every judge; the reference is 300 real images that are in no test batch."""
    extractor = judges.pop("recogniser", RandomExtractor())
    if reference is None:
        reference = extract(shapes(300, start=5000), extractor)
    return MetricContext(
        judges=Judges(
            recogniser=extractor,
            clip=judges.pop("clip", None) or tiny_clip(),
            attributes=judges.pop("attributes", BrightEnough()),
            preference=judges.pop("preference", Brightness()),
        ),
        reference=reference,
        reference_protocol="300 images of the test split from 5000",
        baseline_preference=Brightness()(shapes(400, start=9000), prompts(400)) if baseline is None else baseline,
        suite="tiny",
        seed=0,
    )


def feed(metric: Metric, images: Tensor, sizes: Sequence[int] | None = None) -> Metric:
    """Give `metric` the images in batches of the given sizes, in prompt order."""
    texts = prompts(len(images))
    start = 0
    for size in sizes or [len(images)]:
        stop = start + size
        metric.update(MetricBatch(images=images[start:stop], prompts=texts[start:stop], features=None))
        start = stop
    assert start == len(images)
    return metric
