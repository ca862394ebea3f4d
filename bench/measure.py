"""From stored images and a loaded method to quantities: metrics on the images, cost by the probe."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench import registry
from bench.errors import FewstepError, UsageError
from bench.images import ImageStore
from bench.judging import FeatureExtractor, Prompt
from bench.memory import give_back
from bench.metrics.features import BATCH_SIZE, FeatureCache, identity
from bench.metrics.interface import Metric, MetricBatch, MetricContext, Score
from bench.metrics.weights import JudgeFiles
from bench.probe import HOST, REPEATS, WARM_UP, Clock, Timing, median_interval, time_repeatedly
from bench.record import Cell, Quantity
from bench.reference_set import ReferenceSet
from bench.suites.interface import Suite
from methods.interface import Method, SampleRequest

_CHUNK_BYTES = 64 * 2**20  # of images held at once while measuring
Protocol = Mapping[str, str | int | float]
HOST_LATENCY = f"latency_{HOST}_s"


@dataclass
class Measured:
    """What a part of the measurement adds to a record."""

    quantities: list[Quantity] = field(default_factory=list)
    per_image: dict[str, tuple[float, ...]] = field(default_factory=dict)
    samples: dict[str, tuple[float, ...]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, other: Measured) -> None:
        """Take over everything of `other`."""
        self.quantities.extend(other.quantities)
        self.per_image.update(other.per_image)
        self.samples.update(other.samples)
        self.left_out.update(other.left_out)


class Judgement:
    """The metrics of a run: judges, reference and baseline are loaded once and shared by its cells.

    A metric that the suite, the seed or the number of prompts does not allow is left out, with the reason.

    Raises:
        UsageError: for such a metric, where `asked` says that the user named it and the reason is not the prompts; and
            where that leaves nothing of what the user named.
    """

    def __init__(
        self,
        suite: Suite,
        metrics: Sequence[str],
        prompts: Sequence[Prompt],
        seed: int,
        device: str,
        *,
        asked: bool = False,
        files: JudgeFiles | None = None,
        folder: Path | None = None,
    ) -> None:
        self._prompts = prompts
        self._classes: dict[str, type[Metric]] = {
            name: registry.METRICS.load_subclass(name, Metric)  # type: ignore[type-abstract]
            for name in metrics
        }
        self._per_prompt = 1 + max((prompt.sample for prompt in prompts), default=0)
        judges = suite.judges(torch.device(device))
        extractor = judges.recogniser
        wanted = extractor is not None and any(
            metric.info.needs_reference and not metric.info.weights for metric in self._classes.values()
        )
        reference = ReferenceSet(suite, folder)
        self._context = MetricContext(
            judges=judges,
            reference=suite.reference_features(extractor.name) if extractor is not None and wanted else None,
            reference_protocol=suite.reference_protocol,
            baseline_preference=suite.baseline_preference(prompts, seed) if self._per_prompt == 1 else None,
            suite=suite.info.name,
            seed=seed,
            reference_of=reference.features if reference.available else None,
            files=files or JudgeFiles(),
            device=torch.device(device),
            images_per_prompt=self._per_prompt,
        )
        self._left_out = {name: reason for name in metrics if (reason := self._hindrance(name, asked=asked))}
        if asked and len(self._left_out) == len(metrics):
            name, reason = next(iter(self._left_out.items()))
            raise UsageError(
                f"nothing that was asked for can be measured: {name} {reason}, and there are {len(prompts):,}"
            )

    def measure(self, store: ImageStore, features: Path) -> Measured:
        """All metrics on the stored images.

        Raises:
            FewstepError: where a metric cannot be computed, naming it.
        """
        measured = Measured(left_out=dict(self._left_out))
        wanted = {name: cls for name, cls in self._classes.items() if name not in self._left_out}
        running = {name: cls(self._context) for name, cls in wanted.items()}
        extractors = {identity(item): item for metric in running.values() for item in metric.extractors}
        for batch in self._batches(store, features, extractors):
            for metric in running.values():
                metric.update(batch)
        for name, metric in running.items():
            try:
                score = metric.compute()
            except (ValueError, ArithmeticError) as error:
                raise FewstepError(f"metric {name!r} cannot be computed: {error}") from error
            measured.quantities.append(_quantity(score))
            if score.per_image is not None:
                measured.per_image[score.quantity] = tuple(float(value) for value in score.per_image)
            measured.per_image.update(score.beside)
        return measured

    def _hindrance(self, name: str, *, asked: bool) -> str | None:
        """Why metric `name` cannot be had in this run, or None."""
        cls = self._classes[name]
        if len(self._prompts) < cls.info.min_images:
            return f"needs at least {cls.info.min_images:,} images"
        try:
            cls(self._context)
        except UsageError as error:
            if asked:
                raise
            return str(error)
        return None

    def _batches(
        self, store: ImageStore, folder: Path, extractors: Mapping[str, FeatureExtractor]
    ) -> Iterator[MetricBatch]:
        """All images once, with the features of every extractor that a metric reads; a prompt is never cut in two."""
        recogniser = self._context.judges.recogniser
        cache = FeatureCache(folder, recogniser) if recogniser is not None else None
        caches = {key: FeatureCache(folder, extractor) for key, extractor in extractors.items()}
        fit = min(BATCH_SIZE, _CHUNK_BYTES // store.read(self._prompts[:1]).numel())  # a slice of features at most
        chunk = max(1, fit // self._per_prompt) * self._per_prompt
        for start in range(0, len(self._prompts), chunk):
            prompts = self._prompts[start : start + chunk]
            images = store.read(prompts)
            others = {key: other.features(images) for key, other in caches.items()}
            yield MetricBatch(images, prompts, cache.features(images) if cache is not None else None, others)
            give_back()


def measure_cost(
    method: Method,
    requests: Sequence[SampleRequest],
    clock: Clock,
    place: Protocol,
    *,
    warm_up: int = WARM_UP,
    repeats: int = REPEATS,
) -> Measured:
    """Latency of requests for one image, with its parts, and denoiser evaluations an image.

    `place` is the part of the protocol that says where this runs.
    """
    timings = time_repeatedly(method, requests, clock, warm_up=warm_up, repeats=repeats)
    protocol = {**place, "batch_size": 1, "warm_up": warm_up, "repeats": repeats, "interval": "order statistics"}
    measured = Measured()
    for name, samples in latencies(timings).items():
        value, low, high = median_interval(samples)
        covers = {"covers": "what no component and no gap after a denoiser call does"} if name == HOST_LATENCY else {}
        measured.quantities.append(Quantity(name, value, low, high, len(samples), "s", False, {**protocol, **covers}))
        measured.samples[name] = samples
    counts = [timing.evaluations for timing in timings]
    if any(counts):
        counted = {"counted": "rows the denoiser was called with, an image"}
        nfe = statistics.fmean(counts)
        measured.quantities.append(Quantity("nfe", nfe, min(counts), max(counts), len(counts), "", False, counted))
    return measured


def throughput(seconds: Sequence[float], counts: Sequence[int], cell: Cell, place: Protocol) -> Measured:
    """Images per second over the slices sampled in this run: the total, with an interval from leaving out each slice.

    With fewer than two slices there is no interval and its ends are the value.
    """
    if not seconds:
        return Measured()
    value = sum(counts) / sum(seconds)
    half = 0.0
    if len(seconds) > 1:
        n = len(seconds)
        left = [(sum(counts) - c) / (sum(seconds) - s) for c, s in zip(counts, seconds, strict=True)]
        mean = statistics.fmean(left)
        half = 1.96 * ((n - 1) / n * sum((x - mean) ** 2 for x in left)) ** 0.5
    protocol = {**place, "batch_size": cell.batch_size, "interval": "jackknife over slices"}
    name = "images_per_s"
    quantity = Quantity(name, value, max(0.0, value - half), value + half, len(seconds), "images/s", True, protocol)
    return Measured([quantity], samples={"slice_s": tuple(seconds)})


def latencies(timings: Sequence[Timing]) -> dict[str, tuple[float, ...]]:
    """Raw samples of the total and of each part, a call each: `latency_s`, `latency_<part>_s`."""
    parts = dict.fromkeys(part for timing in timings for part in timing.parts)
    latencies = {"latency_s": tuple(timing.total for timing in timings)}
    for part in parts:
        latencies[f"latency_{part}_s"] = tuple(timing.parts.get(part, 0.0) for timing in timings)
    return latencies


def _quantity(score: Score) -> Quantity:
    return Quantity(
        name=score.quantity,
        value=score.value,
        ci_low=score.ci_low,
        ci_high=score.ci_high,
        n=score.n,
        unit=score.unit,
        higher_is_better=score.higher_is_better,
        protocol=score.protocol,
        parts=score.parts,
    )
