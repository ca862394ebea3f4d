"""Real images for the gate's self-test: features and scores of one method's images, whole and broken."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from bench import registry
from bench.errors import FewstepError
from bench.gate.simulation import FeatureBank
from bench.health import noise
from bench.images import ImageStore
from bench.judging import Prompt
from bench.measure import Judgement
from bench.metrics.features import extract
from bench.metrics.moments import gaussian
from bench.numerics import fixed_numerics
from bench.record import Cell
from bench.sampling import requests_of
from bench.suites.interface import Suite

SCORE = "clip-shapes"
METHOD, STEPS = "add", 1
BATCH = 50


def image_bank(tell: Callable[[str], None], count: int = 1200, suite_name: str = "shapes") -> FeatureBank:
    """The bank of `count` images of ADD at one step on the embedded suite; a broken image is noise.

    Raises:
        FewstepError: where the suite has no recogniser.
    """
    suite = cast(Suite, registry.SUITES.load(suite_name)())
    prompts = suite.prompts(count)
    with torch.no_grad(), fixed_numerics("cpu"), tempfile.TemporaryDirectory() as folder:
        recogniser = suite.judges(torch.device("cpu")).recogniser
        if recogniser is None:
            raise FewstepError(f"suite {suite_name!r} has no recogniser; the self-test takes one")
        tell(f"{count:,} images of {METHOD} at {STEPS} step, whole and broken")
        images = _sampled(suite, prompts)
        broken = noise(images)
        judgement = Judgement(suite, (SCORE,), prompts, 0, "cpu")
        scores = [_scores(judgement, part, prompts, Path(folder) / str(k)) for k, part in enumerate((images, broken))]
        features, damaged = (extract(part, recogniser).double().numpy() for part in (images, broken))
        reference = gaussian(suite.reference_features(recogniser.name).double().numpy())
    return FeatureBank(features, damaged, scores[0], scores[1], reference)


def _sampled(suite: Suite, prompts: list[Prompt]) -> Tensor:
    from methods.registry import METHODS

    cls = METHODS.load(METHOD)
    method = cls.load(suite.checkpoint(cls.info.checkpoint(STEPS)), device=torch.device("cpu"), dtype=torch.float32)
    cell = Cell(suite.info.name, METHOD, STEPS, None, 0, len(prompts), "cpu", "float32", BATCH)
    return torch.cat([method.sample(request) for request in requests_of(cell, prompts, BATCH)])


def _scores(
    judgement: Judgement, images: Tensor, prompts: list[Prompt], folder: Path
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    store = ImageStore(folder / "images")
    store.open({})
    store.write(prompts, images)
    return np.asarray(judgement.measure(store, folder / "features").per_image[SCORE], dtype=np.float64)
