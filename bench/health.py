"""Health controls: real images, damaged in known ways, measured as if methods had made them.

A metric that does not put a damaged set below the real one cannot tell methods apart either. Every control is a
pseudo-method with a record of its own; which metric fails stands in all of them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from bench import provenance, registry
from bench.errors import UsageError
from bench.folder import OutFolder, write_json
from bench.images import ImageStore, check_prompts, write_sheet
from bench.judging import Judges, Prompt
from bench.measure import Judgement
from bench.metrics.interface import MetricInfo
from bench.metrics.weights import JudgeFiles
from bench.numerics import fixed_numerics
from bench.record import Cell, Record, write_record
from bench.report.best import beats
from bench.suites.info import SuiteInfo
from bench.suites.interface import Suite

BLUR = (0.02, 0.04, 0.08)
"""Standard deviations of the blur ladder, as shares of an image's side."""

JPEG = (75, 30, 5)
"""Qualities of the JPEG ladder."""

COPIES = 10
"""Times that each image of the duplicates is there."""

_SHEET = 16


@dataclass(frozen=True)
class Expectation:
    """`better` has to score better than `worse`; where not `needed`, a metric may fail to tell them apart."""

    better: str
    worse: str
    needed: bool = True


@dataclass(frozen=True)
class Finding:
    """What a metric made of an expectation: "ordered", "cannot tell" or "wrong order"."""

    metric: str
    expectation: Expectation
    verdict: str
    values: tuple[float, float]

    @property
    def flagged(self) -> bool:
        """Whether the metric is not to be trusted."""
        return self.verdict == "wrong order" or (self.verdict == "cannot tell" and self.expectation.needed)

    @property
    def line(self) -> str:
        """`fd-shapes does not put noise below real (3.1 against 2.9): cannot tell`."""
        item, (better, worse) = self.expectation, self.values
        numbers = f"{worse:.4g} against {better:.4g}"
        return f"{self.metric} does not put {item.worse} below {item.better} ({numbers}): {self.verdict}"


def blurred(images: Tensor, share: float) -> Tensor:
    """Gaussian blur of `share` of the side: uint8 (N, 3, H, W) -> the same."""
    radius = share * images.shape[-1]
    return _each(images, lambda picture: picture.filter(ImageFilter.GaussianBlur(radius)))


def compressed(images: Tensor, quality: int) -> Tensor:
    """Through JPEG and back: uint8 (N, 3, H, W) -> the same."""

    def through(picture: Image.Image) -> Image.Image:
        encoded = io.BytesIO()
        picture.save(encoded, "jpeg", quality=quality)
        return Image.open(encoded)

    return _each(images, through)


def noise(images: Tensor, seed: int = 0) -> Tensor:
    """Uniform bytes of the same shape."""
    drawn = np.random.default_rng(seed).integers(0, 256, size=tuple(images.shape), dtype=np.uint8)
    return torch.from_numpy(drawn)


def duplicates(images: Tensor) -> Tensor:
    """Every tenth image, ten times."""
    n = len(images)
    return images[: -(-n // COPIES)].repeat_interleave(COPIES, dim=0)[:n]


CONTROLS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "real": lambda images: images,
    **{f"blur-{rung}": partial(blurred, share=share) for rung, share in enumerate(BLUR, 1)},
    **{f"jpeg-{rung}": partial(compressed, quality=quality) for rung, quality in enumerate(JPEG, 1)},
    "noise": noise,
    "duplicates": duplicates,
    "shuffled": lambda images: images.roll(len(images) // 2, dims=0),
    "single": lambda images: images[:1].expand_as(images),
}
"""Name -> what becomes of the real images of the prompts, in prompt order."""


def expectations(info: MetricInfo) -> tuple[Expectation, ...]:
    """What a metric of this kind has to order."""
    ladder = _ladder("blur", len(BLUR))
    if info.needs_reference:
        few = (Expectation("real", "duplicates"), Expectation("duplicates", "single")) if info.sees_variety else ()
        return (*ladder, *_ladder("jpeg", len(JPEG)), Expectation("real", "noise"), *few)
    pairs = [Expectation("real", "noise"), Expectation("real", f"blur-{len(BLUR)}")]
    if info.sees_prompts:
        pairs += [Expectation("real", "shuffled"), Expectation("real", "single")]
    return tuple(pairs)


def findings(records: Mapping[str, Record], infos: Sequence[MetricInfo]) -> list[Finding]:
    """Every expectation held against the records, control name -> record."""
    found = []
    for info in infos:
        for item in expectations(info):
            better, worse = records[item.better], records[item.worse]
            one, other = better.quantity(info.name), worse.quantity(info.name)
            if one is None or other is None:
                continue
            verdict = "cannot tell"
            if beats(better, worse, info.name):
                verdict = "ordered"
            elif beats(worse, better, info.name):
                verdict = "wrong order"
            found.append(Finding(info.name, item, verdict, (one.value, other.value)))
    return found


@dataclass(frozen=True)
class HealthRequest:
    """What is checked: a suite that has real images of its prompts, and metrics."""

    suite: str
    data: Path | None
    metrics: tuple[str, ...]
    limit: int
    device: str
    out: OutFolder
    weights: Mapping[str, Path | None]
    asked: bool


def check(request: HealthRequest, tell: Callable[[str], None]) -> tuple[dict[str, Record], list[Finding]]:
    """Measure all controls; returns their records, by control, and what the metrics made of them.

    Raises:
        UsageError: where the suite has no real images.
    """
    suite = cast(Suite, registry.make_suite(request.suite, request.data))
    prompts = suite.prompts(request.limit)
    check_prompts(prompts)
    real = suite.real_images(prompts[:1])
    if real is None:
        raise UsageError(f"suite {request.suite!r} has no real images of its prompts; use shapes, or --coco FOLDER")
    judged = cast(Suite, HeldOut(suite, len(prompts))) if suite.reference_is_of_prompts else suite
    request.out.prepare()
    request.out.write_prompts(prompts)
    with torch.no_grad(), fixed_numerics(request.device) as numerics:
        tell("loading the judges")
        files = JudgeFiles(request.weights)
        judgement = Judgement(
            judged, request.metrics, prompts, 0, request.device,
            asked=request.asked, files=files, folder=request.out.features,
        )  # fmt: skip
        about = {
            "code": provenance.code(),
            "versions": provenance.versions(),
            "machine": provenance.machine(request.device),
            "numerics": dict(numerics),
        }
        records = dict(_measured(request, suite, prompts, judgement, about, tell))
    found = findings(records, [registry.METRICS.load(name).info for name in request.metrics])
    return _kept(request, records, found), found


def _measured(
    request: HealthRequest,
    suite: Suite,
    prompts: Sequence[Prompt],
    judgement: Judgement,
    about: Mapping[str, Any],
    tell: Callable[[str], None],
) -> Iterator[tuple[str, Record]]:
    images = suite.real_images(prompts)
    assert images is not None
    for name, damage in CONTROLS.items():
        tell(f"{name}, {len(prompts):,} images")
        cell = Cell(
            suite.info.name, f"health-{name}", 0, None, 0, len(prompts), request.device, "float32", len(prompts)
        )
        store = ImageStore(request.out.images(cell))
        store.open({"control": name})
        store.write(prompts, damage(images))
        measured = judgement.measure(store, request.out.features)
        write_sheet(store.read(prompts[:_SHEET]), request.out.sheet(cell))
        facts = {**about, "left_out": measured.left_out}
        yield name, Record(cell, "ok", None, tuple(measured.quantities), measured.per_image, {}, facts)


def _kept(request: HealthRequest, records: Mapping[str, Record], found: Sequence[Finding]) -> dict[str, Record]:
    """Write the records, each with what was found, and `health.json`."""
    flags: dict[str, list[str]] = {}
    for item in found:
        if item.flagged:
            flags.setdefault(item.metric, []).append(item.line)
    kept = {}
    for name, record in records.items():
        kept[name] = replace(record, provenance={**record.provenance, "health": {"flagged": flags}})
        write_record(kept[name], request.out.records)
    rows = [
        {"metric": item.metric, "better": item.expectation.better, "worse": item.expectation.worse,
         "verdict": item.verdict, "values": list(item.values), "flagged": item.flagged}
        for item in found
    ]  # fmt: skip
    write_json(request.out.root / "health.json", {"flagged": flags, "findings": rows})
    return kept


class HeldOut:
    """A suite whose reference leaves out the first `n` images, for a suite that they are the prompts' own of."""

    def __init__(self, suite: Suite, n: int) -> None:
        self._suite, self._n = suite, n
        self.info: SuiteInfo = suite.info

    def reference_images(self) -> Iterator[Tensor] | None:
        """The reference images after the first n.

        Raises:
            UsageError: where none is left.
        """
        images = self._suite.reference_images()
        return None if images is None else self._after(images)

    def _after(self, images: Iterator[Tensor]) -> Iterator[Tensor]:
        seen = left = 0
        for block in images:
            rest = block[max(0, self._n - seen) :]
            seen += len(block)
            if len(rest):
                left += len(rest)
                yield rest
        if not left:
            raise UsageError(f"all {seen:,} real images are controls; use a --limit of at most {seen // 2:,}")

    @property
    def reference_protocol(self) -> str:
        """The suite's, without the first n."""
        return f"{self._suite.reference_protocol}, without the first {self._n}"

    def judges(self, device: torch.device) -> Judges:
        """The suite's."""
        return self._suite.judges(device)

    def reference_features(self, extractor: str) -> Tensor:
        """The suite's."""
        return self._suite.reference_features(extractor)

    def baseline_preference(self, prompts: Sequence[Prompt], seed: int) -> Tensor | None:
        """The suite's."""
        return self._suite.baseline_preference(prompts, seed)


def _ladder(name: str, rungs: int) -> tuple[Expectation, ...]:
    """Each rung below the one before it, and the last below the real images beyond doubt."""
    names = ["real", *(f"{name}-{rung}" for rung in range(1, rungs + 1))]
    steps = [Expectation(one, other, needed=False) for one, other in pairwise(names)]
    return (*steps, Expectation("real", names[-1]))


def _each(images: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    changed = [np.array(change(Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()))) for image in images]
    return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2)
