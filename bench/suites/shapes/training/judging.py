"""Train the judges and ADD's eye: stages that need no generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import CLIPModel

from bench.suites.shapes.captions import captions, demands
from bench.suites.shapes.generator.tokenizer import token_ids
from bench.suites.shapes.judges.clip import ClipObjective, make_clip, retrieval_accuracy
from bench.suites.shapes.judges.preference import PreferenceObjective, agreement, pairs
from bench.suites.shapes.judges.recogniser import Recogniser, detections, recogniser_loss, satisfied
from bench.suites.shapes.render import render
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.training.data import fresh_images
from bench.suites.shapes.training.eye import EyeObjective, make_eye
from bench.suites.shapes.training.stages import tokenizer
from bench.training.workshop import Workshop
from methods.distill.draws import Draws
from methods.distill.loop import TrainConfig
from methods.distill.objective import Batch, Objective

RECOGNISER = TrainConfig(
    steps=1150,
    batch_size=128,
    learning_rate=3e-3,
    optimizer="muon",
    ema_decay=0.99,
    seed=11,
    checkpoint_every=100,
)
CLIP = TrainConfig(
    steps=600,
    batch_size=256,
    learning_rate=5e-3,
    optimizer="muon",
    ema_decay=0.99,
    seed=12,
    decay_fraction=0.5,
    checkpoint_every=100,
)
PREFERENCE = TrainConfig(
    steps=300,
    batch_size=128,
    learning_rate=2e-3,
    optimizer="muon",
    vector_rate=5e-4,
    ema_decay=0.98,
    seed=13,
    checkpoint_every=100,
)
EYE = TrainConfig(
    steps=300, batch_size=128, learning_rate=5e-3, optimizer="muon", ema_decay=0.98, seed=14, checkpoint_every=100
)

_CLIP_START = (
    1_000_000  # the CLIP judge reads other images of its split than the recogniser, the preference model others again
)
_PREFERENCE_START = 2_000_000


class RecogniserObjective(Objective):
    """Batches hold "images" uint8 and "scenes"."""

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser = recogniser

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"recogniser": self.recogniser}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        return recogniser_loss(self.recogniser(batch["images"]), batch["scenes"])


def train_recogniser(shop: Workshop) -> None:
    """The attribute recogniser."""
    torch.manual_seed(RECOGNISER.seed)
    recogniser = Recogniser()

    def measure(networks: Mapping[str, nn.Module]) -> dict[str, float]:
        average = cast(Recogniser, networks["recogniser"])
        return {f"exact_{split}": exactness(average, split) for split in ("test", "held-out")}

    averages, made = shop.run(
        "recogniser", RecogniserObjective(recogniser), fresh_images("judge-train", RECOGNISER.batch_size), RECOGNISER,
        data=f"judge-train images 0..{RECOGNISER.steps * RECOGNISER.batch_size - 1}",
        measure=measure, measure_every=400,
    )  # fmt: skip
    shop.finish("recogniser", averages["recogniser"].state_dict(), made)


@torch.no_grad()
def exactness(recogniser: Recogniser, split: str, n: int = 2000) -> float:
    """Share of real images in which everything that the caption names is recognised, bound together."""
    was_training = recogniser.training
    recogniser.eval()
    right = 0
    for start in range(0, n, 500):
        scenes = make_scenes(split, range(start, start + 500))
        logits = recogniser(render(scenes))
        background = logits["background"].argmax(dim=1).tolist()
        triples = zip(demands(scenes), detections(logits), background, strict=True)
        right += sum(satisfied(demand, found, place) for demand, found, place in triples)
    recogniser.train(was_training)
    return right / n


def train_clip(shop: Workshop) -> None:
    """The CLIP judge."""
    torch.manual_seed(CLIP.seed)
    words = tokenizer(shop)
    objective = ClipObjective(make_clip(words))

    def make(split: str, start: int, n: int) -> dict[str, Any]:
        scenes = make_scenes(split, range(start, start + n))
        return {"scenes": scenes, "images": render(scenes), "tokens": token_ids(words, captions(scenes))}

    def batch_at(step: int) -> dict[str, Any]:
        return make("judge-train", _CLIP_START + step * CLIP.batch_size, CLIP.batch_size)

    def measure(networks: Mapping[str, nn.Module]) -> dict[str, float]:
        batches: list[Batch] = [make("test", 100 * k, 100) for k in range(20)]
        return {"retrieval_1_of_100": retrieval_accuracy(_part(networks, "clip"), batches)}

    last = _CLIP_START + CLIP.steps * CLIP.batch_size - 1
    averages, made = shop.run(
        "clip",
        objective,
        batch_at,
        CLIP,
        data=f"judge-train images {_CLIP_START}..{last}",
        measure=measure,
        measure_every=100,
    )
    shop.finish("clip", _part(averages, "clip").state_dict(), made)


def _part(networks: Mapping[str, nn.Module], name: str) -> nn.Module:
    """The network `name` without the heads that it was trained with."""
    return cast(nn.ModuleDict, networks[name])[name]


def load_clip(shop: Workshop, name: str) -> CLIPModel:
    """A finished CLIP: "clip" or "preference"."""
    clip = make_clip(tokenizer(shop))
    clip.load_state_dict(shop.weights(name))
    return clip


def train_preference(shop: Workshop) -> None:
    """The preference model, from the CLIP judge's weights."""
    words, clip = tokenizer(shop), load_clip(shop, "clip")
    batches = pairs(words, "judge-train", PREFERENCE.batch_size, _PREFERENCE_START)
    held_out = pairs(words, "test", 500)

    def measure(networks: Mapping[str, nn.Module]) -> dict[str, float]:
        return {
            "agreement": float(
                torch.cat([agreement(networks["preference"], held_out(k)) for k in range(4)]).double().mean()
            )
        }

    last = _PREFERENCE_START + PREFERENCE.steps * PREFERENCE.batch_size - 1
    averages, made = shop.run(
        "preference", PreferenceObjective(clip), batches, PREFERENCE,
        data=f"judge-train images {_PREFERENCE_START}..{last}", measure=measure, measure_every=100,
    )  # fmt: skip
    shop.finish("preference", averages["preference"].state_dict(), made)


def train_eye(shop: Workshop) -> None:
    """The vision transformer that ADD's discriminator reads."""
    torch.manual_seed(EYE.seed)
    averages, made = shop.run(
        "eye", EyeObjective(make_eye()), fresh_images("train", EYE.batch_size), EYE,
        data=f"train images 0..{EYE.steps * EYE.batch_size - 1}",
    )  # fmt: skip
    shop.finish("eye", _part(averages, "eye").state_dict(), made)
