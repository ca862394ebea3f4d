"""The feature networks: each learns, resumes bit for bit, and sees no label where it says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from bench.errors import UsageError
from bench.suites.shapes.captions import captions
from bench.suites.shapes.generator.tokenizer import token_ids
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.training import command
from bench.suites.shapes.training.eye import LARGE, SMALL, EyeSize, make_eye
from bench.suites.shapes.training.eye_clip import CaptionObjective
from bench.suites.shapes.training.eye_dino import DinoObjective, DinoRecipe, agreement_loss, view
from bench.suites.shapes.training.eyes import (
    EYES,
    eye_trainer,
    load_caption_encoder,
    load_features,
    load_guide,
    objective_for,
)
from bench.suites.shapes.training.stages import tokenizer
from bench.suites.shapes.training.vae import to_unit_range
from bench.training.workshop import Workshop
from methods.distill.loop import Log, TrainConfig, train
from methods.distill.objective import Objective
from methods.errors import WeightsError
from tests.training.tiny_add import draws

TINY = EyeSize(width=24, layers=4, heads=2)
CONFIG = TrainConfig(steps=6, batch_size=16, learning_rate=2e-3, warmup_steps=1, checkpoint_every=2, seed=3)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, Console(quiet=True))


def batch(shop: Workshop, step: int = 0, n: int = 16) -> dict[str, Any]:
    scenes = make_scenes("train", range(step * n, (step + 1) * n))
    return {"images": render(scenes), "scenes": scenes, "tokens": token_ids(tokenizer(shop), captions(scenes))}


def made(shop: Workshop, name: str) -> Objective:
    torch.manual_seed(0)
    return objective_for(shop, name, make_eye(TINY))


def weights(objective: Objective, log: Log) -> list[Tensor]:
    networks = (*objective.trained.values(), *objective.followers.values(), *log.averages.values())
    return [value.clone() for network in networks for value in network.state_dict().values()]


@pytest.mark.parametrize("name", ["eye-dino", "eye-clip"])
def test_an_eye_resumes_bit_for_bit(shop: Workshop, tmp_path: Path, name: str) -> None:
    def run(folder: Path | None, until: int) -> list[Tensor]:
        objective = made(shop, name)
        for log in train(objective, lambda step: batch(shop, step), CONFIG, folder):
            if log.step == until:
                break
        return weights(objective, log)

    whole = run(None, 6)
    run(tmp_path / "kept", 5)  # killed after step 5: the last checkpoint is that of step 4
    resumed = run(tmp_path / "kept", 6)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    other = run(None, 5)
    assert not all(torch.equal(a, b) for a, b in zip(whole, other, strict=True))


@pytest.mark.parametrize("name", ["eye", "eye-clip"])
def test_the_loss_falls(shop: Workshop, name: str) -> None:
    fixed = batch(shop)
    config = replace(CONFIG, steps=25, learning_rate=3e-3, decay_fraction=0.2)
    logs = [sum(log.losses.values()) for log in train(made(shop, name), lambda step: fixed, config)]
    assert sum(logs[-5:]) < 0.97 * sum(logs[:5])


def test_dino_comes_to_agree_with_itself_without_collapse(shop: Workshop) -> None:
    """The centre spreads the prototypes, by which the loss first rises; then it falls, and images stay apart."""
    torch.manual_seed(0)
    objective = DinoObjective(make_eye(TINY), DinoRecipe(prototypes=16))
    config = replace(CONFIG, steps=60, learning_rate=3e-3, decay_fraction=0.2)
    logs = [log.losses["eye/agreement"] for log in train(objective, lambda step: batch(shop, step), config)]
    assert min(logs[20:]) > 0  # a collapse to one prototype has no loss at all
    assert sum(logs[-10:]) / 10 < 0.97 * max(sum(logs[k : k + 10]) / 10 for k in range(0, 50, 10))
    with torch.no_grad():
        shares = torch.softmax(objective.teacher(batch(shop)["images"].float() / 127.5 - 1) - objective.centre, dim=1)
    assert float(shares.std(dim=0).mean()) > 1e-4


def test_dino_reads_no_label(shop: Workshop) -> None:
    objective = made(shop, "eye-dino")
    assert objective.losses("eye", {"images": batch(shop)["images"]}, draws())["agreement"].isfinite()


def test_dino_compares_each_view_with_the_others_alone() -> None:
    """Predictions that equal their own target alone are as wrong as any; equal across views they are right."""
    first, second = torch.eye(4)[:2], torch.eye(4)[2:]
    apart = agreement_loss((first, second), [20 * first, 20 * second], 1.0)
    crossed = agreement_loss((first, second), [20 * second, 20 * first], 1.0)
    assert float(crossed) == pytest.approx(0.0, abs=1e-6)
    assert float(apart) == pytest.approx(20.0, rel=1e-3)


def test_dinos_teacher_and_centre_follow(shop: Workshop) -> None:
    torch.manual_seed(0)
    objective = DinoObjective(make_eye(TINY), DinoRecipe(teacher_momentum=0.9, centre_momentum=0.9))
    objective.losses("eye", batch(shop), draws())
    outputs = objective._outputs
    assert outputs is not None
    with torch.no_grad():
        for parameter in objective.student.head.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in objective.teacher.get_submodule("head").parameters()]
    objective.after_step(0)
    after = list(objective.teacher.get_submodule("head").parameters())
    assert all(torch.allclose(b - a, torch.full_like(a, 0.1), atol=1e-5) for a, b in zip(before, after, strict=True))
    assert torch.allclose(objective.centre, 0.1 * outputs.mean(dim=0), atol=1e-6)
    assert not any(p.requires_grad for p in objective.teacher.parameters())


def test_views_lie_within_the_image() -> None:
    """A crop of a horizontal ramp is a ramp of the crop's share of the range, mirrored or not."""
    ramp = torch.linspace(-1, 1, 32).expand(64, 3, 32, 32)
    # the colour change is affine in the pixels, so a crop's columns still rise or fall evenly
    cropped = view(ramp, draws(), (0.25, 0.25), 16)
    assert cropped.shape == (64, 3, 16, 16)
    slopes = cropped[:, :, :, 2:-2].diff(dim=3)
    assert torch.allclose(slopes, slopes.mean(dim=3, keepdim=True).expand_as(slopes), atol=1e-4)
    rising = (slopes.mean(dim=(1, 2, 3)) > 0).float().mean()
    assert 0.25 < float(rising) < 0.75


def test_there_are_three_kinds_in_two_sizes_and_each_is_a_stage() -> None:
    assert {(eye.kind, eye.size) for eye in EYES.values()} == {
        (kind, size) for kind in ("supervised", "dino", "clip") for size in (SMALL, LARGE)
    }
    assert set(EYES) <= set(command.STAGES)
    assert [name for name in EYES if command.STAGES[name].by_default] == ["eye"]
    assert LARGE.depths == (0, 2, 4, 6, 8)


def test_a_trained_eye_is_read_back(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.suites.shapes.training import eyes

    tiny: Mapping[str, eyes.Eye] = {"eye-dino": eyes.Eye("dino", TINY), "eye-clip": eyes.Eye("clip", TINY)}
    monkeypatch.setattr(eyes, "EYES", tiny)
    monkeypatch.setattr(eyes, "_CONFIGS", dict.fromkeys(("dino", "clip"), replace(CONFIG, steps=2)))
    with pytest.raises(WeightsError, match="eye-dino is not trained yet"):
        load_features(shop, "eye-dino")
    for name in tiny:
        eye_trainer(name)(shop)
        features = load_features(shop, name)
        tokens, _ = features(torch.zeros(1, 3, 32, 32))
        assert [t.shape for t in tokens] == [(1, 24, 64)] * 5
    guide, encoder = load_guide(shop, "eye-clip"), load_caption_encoder(shop, "eye-clip")
    assert encoder is not None
    assert encoder.width == 64
    read = batch(shop)
    with torch.no_grad():
        cosines = encoder(read["tokens"]) @ guide(to_unit_range(read["images"])).T
        trained = objective_for(shop, "eye-clip", make_eye(TINY))
        assert isinstance(trained, CaptionObjective)
        trained.network["eye"].load_state_dict(guide.features.vit.state_dict())
        trained.network["text"].load_state_dict(encoder.tower.state_dict())
        trained.network["image_projection"].load_state_dict(guide.projection.state_dict())
        learned = trained._similarity(read) * 0.07  # its scale as it starts
    assert torch.allclose(cosines, learned, atol=1e-5)
    assert float(cosines.std()) > 1e-4
    with pytest.raises(UsageError, match="'eye-dino' is no eye that learns from captions; those are eye-clip"):
        load_guide(shop, "eye-dino")
    assert load_caption_encoder(shop, "pooled") is None
    with pytest.raises(UsageError, match="unknown feature network 'eye-dyno'"):
        load_features(shop, "eye-dyno")
