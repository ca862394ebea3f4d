"""The judges reach their bars on real images they never saw, and fall below them when the image or caption is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from bench.judging import Judges
from bench.suites.shapes.captions import Demand, ObjectDemand, captions
from bench.suites.shapes.generator.networks import make_vae
from bench.suites.shapes.generator.tokenizer import token_ids
from bench.suites.shapes.judges.clip import make_clip, retrieval_accuracy
from bench.suites.shapes.judges.degrade import KINDS, degraded
from bench.suites.shapes.judges.load import load_judges
from bench.suites.shapes.judges.preference import agreement, pairs
from bench.suites.shapes.judges.recogniser import Detection, satisfied
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.suite import ShapesSuite
from bench.suites.shapes.training.stages import decode, encode
from bench.suites.shapes.training.vae import psnr_db
from bench.suites.shapes.zoo import default_zoo

RECOGNISER_BAR, CLIP_BAR, PREFERENCE_BAR, PSNR_BAR_DB = 0.98, 0.90, 0.95, 27.0
N = 1000


@pytest.fixture(scope="module")
def judges() -> Judges:
    return load_judges(default_zoo(), torch.device("cpu"))


@pytest.fixture(scope="module")
def images() -> Tensor:
    return render(make_scenes("test", range(N)))


def share_exact(judges: Judges, images: Tensor, shift: int = 0) -> float:
    """Share of images judged exact under their own caption, or under that of another image."""
    assert judges.attributes is not None
    prompts = ShapesSuite().prompts(N)
    return float(judges.attributes(images, prompts[shift:] + prompts[:shift]).mean())


def test_the_recogniser_reaches_its_bar_and_tells_a_wrong_caption(judges: Judges, images: Tensor) -> None:
    assert share_exact(judges, images) >= RECOGNISER_BAR
    assert share_exact(judges, images, shift=1) < 0.1
    assert share_exact(judges, torch.randint_like(images, 256)) < 0.05


def test_the_clip_retrieves_the_image_of_a_caption(judges: Judges) -> None:
    assert judges.clip is not None
    tokenizer = judges.clip.processor.tokenizer
    batches: list[dict[str, Any]] = []
    for start in range(0, N, 100):
        scenes = make_scenes("test", range(start, start + 100))
        batches.append({"images": render(scenes), "tokens": token_ids(tokenizer, captions(scenes)), "scenes": scenes})
    assert retrieval_accuracy(judges.clip.model, batches) >= CLIP_BAR
    assert retrieval_accuracy(make_clip(tokenizer).eval(), batches) < 0.2  # an untrained one does not


def test_the_preference_model_agrees_with_known_damage(judges: Judges) -> None:
    assert judges.preference is not None
    assert judges.clip is not None
    batch = pairs(judges.clip.processor.tokenizer, "test", N)(0)
    model = judges.preference._clip  # type: ignore[attr-defined]
    agreed = agreement(model, batch)
    assert float(agreed.double().mean()) >= PREFERENCE_BAR
    for index, kind in enumerate(KINDS):
        assert float(agreed[batch["kind"] == index].double().mean()) > 0.8, kind
    swapped = {**batch, "better": batch["worse"], "worse": batch["better"]}
    assert float(agreement(model, swapped).double().mean()) <= 1 - PREFERENCE_BAR


def test_the_autoencoder_reaches_its_bar(images: Tensor) -> None:
    vae: AutoencoderKL = make_vae()
    vae.load_state_dict(default_zoo().tensors("vae"))
    vae.eval()
    assert float(psnr_db(decode(vae, encode(vae, images)), images).mean()) >= PSNR_BAR_DB
    assert float(psnr_db(decode(vae, torch.zeros_like(encode(vae, images))), images).mean()) < PSNR_BAR_DB


def found(**changes: int) -> Detection:
    values = {"shape": 0, "colour": 0, "texture": 0, "size": 0, "x": 1, "y": 1}
    return Detection(**{**values, **changes})


def test_attributes_must_be_bound_to_one_object() -> None:
    demand = Demand((ObjectDemand(0, 0, None, None), ObjectDemand(1, 1, None, None)), None, None)
    bound = [found(), found(shape=1, colour=1)]
    swapped = [found(colour=1), found(shape=1)]
    assert satisfied(demand, bound, background=0)
    assert not satisfied(demand, swapped, background=0)
    assert not satisfied(demand, bound[:1], background=0)


def test_what_is_named_must_hold_and_what_is_not_may_vary() -> None:
    unnamed = Demand((ObjectDemand(0, 0, None, None),), None, None)
    named = Demand((ObjectDemand(0, 0, 2, 1),), None, 3)
    assert satisfied(unnamed, [found(texture=1, size=1)], background=2)
    assert satisfied(named, [found(texture=2, size=1)], background=3)
    assert not satisfied(named, [found(texture=1, size=1)], background=3)
    assert not satisfied(named, [found(texture=2, size=0)], background=3)
    assert not satisfied(named, [found(texture=2, size=1)], background=0)


@pytest.mark.parametrize(("relation", "axis"), [(0, "x"), (1, "y")])
def test_a_relation_has_a_direction(relation: int, axis: str) -> None:
    demand = Demand((ObjectDemand(0, 0, None, None), ObjectDemand(1, 1, None, None)), relation, None)
    first, second = found(**{axis: 1}), found(shape=1, colour=1, **{axis: 5})
    assert satisfied(demand, [first, second], background=0)
    assert not satisfied(demand, [found(**{axis: 6}), second], background=0)


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_damage_is_none_at_zero_and_grows(kind: int) -> None:
    scenes = make_scenes("judge-validation", range(64))
    clean = render(scenes)
    kinds = torch.full((64,), kind)

    def distance(amount: float) -> float:
        rng = torch.Generator().manual_seed(0)
        return float((degraded(scenes, kinds, torch.full((64,), amount), rng).float() - clean.float()).abs().mean())

    assert distance(0.0) == 0.0
    assert distance(0.5) > 1.0
    assert distance(1.0) >= distance(0.5)
