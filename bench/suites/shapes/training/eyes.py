"""The feature networks that ADD's discriminator can read, by name, and how each is trained.

None is a judge or shares weights with one: they learn from the train split, which no judge sees, from their own seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import ViTModel

from bench.errors import UsageError
from bench.suites.shapes.captions import captions
from bench.suites.shapes.generator.tokenizer import token_ids
from bench.suites.shapes.training.data import fresh_images
from bench.suites.shapes.training.eye import LARGE, SMALL, EyeObjective, EyeSize, make_eye
from bench.suites.shapes.training.eye_clip import EMBEDDING_WIDTH, CaptionEncoder, CaptionObjective, make_text_tower
from bench.suites.shapes.training.eye_dino import DinoObjective
from bench.suites.shapes.training.judging import EYE
from bench.suites.shapes.training.stages import tokenizer
from bench.suites.shapes.training.students.common import below
from bench.training.workshop import Workshop
from methods.add.recipe import AddRecipe
from methods.adversarial.conditions import POOLED
from methods.adversarial.features import FrozenFeatures
from methods.distill.loop import TrainConfig
from methods.distill.objective import Objective
from methods.gan.guidance import ClipGuide
from methods.gan.recipe import GanRecipe

Kind = Literal["supervised", "dino", "clip"]
_JOINED = "joined."
"""Before the names of the tensors that join an eye to captions."""

_CONFIGS: Mapping[Kind, TrainConfig] = {
    "supervised": EYE,
    "dino": TrainConfig(
        steps=600,
        batch_size=128,
        learning_rate=2e-3,
        optimizer="muon",
        vector_rate=5e-4,
        ema_decay=0.98,
        seed=15,
        checkpoint_every=100,
    ),
    "clip": TrainConfig(
        steps=600, batch_size=256, learning_rate=5e-3, optimizer="muon", ema_decay=0.98, seed=16, checkpoint_every=100
    ),
}


@dataclass(frozen=True)
class Eye:
    """One feature network: what it learns from, and how large it is."""

    kind: Kind
    size: EyeSize

    @property
    def config(self) -> TrainConfig:
        """How it is trained."""
        return _CONFIGS[self.kind]


EYES: Mapping[str, Eye] = {
    "eye": Eye("supervised", SMALL),
    "eye-large": Eye("supervised", LARGE),
    "eye-dino": Eye("dino", SMALL),
    "eye-dino-large": Eye("dino", LARGE),
    "eye-clip": Eye("clip", SMALL),
    "eye-clip-large": Eye("clip", LARGE),
}
"""Name of a training stage, and of `AddRecipe.features`, to what it is."""


def eye_trainer(name: str) -> Callable[[Workshop], None]:
    """The training of the eye called `name`, as a stage takes it."""

    def train_it(shop: Workshop) -> None:
        config = EYES[name].config
        torch.manual_seed(config.seed)
        vit = make_eye(EYES[name].size)
        data = f"train images 0..{config.steps * config.batch_size - 1}"
        averages, made = shop.run(name, objective_for(shop, name, vit), batches_for(shop, name), config, data=data)
        shop.finish(name, kept_tensors(averages["eye"]), made)

    return train_it


def objective_for(shop: Workshop, name: str, vit: ViTModel) -> Objective:
    """What the eye called `name` learns by."""
    match EYES[name].kind:
        case "supervised":
            return EyeObjective(vit)
        case "dino":
            return DinoObjective(vit)
        case "clip":
            return CaptionObjective(vit, tokenizer(shop))


def batches_for(shop: Workshop, name: str) -> Callable[[int], dict[str, Any]]:
    """Fresh images of the train split; with their captions for an eye that reads them."""
    eye = EYES[name]
    images = fresh_images("train", eye.config.batch_size)
    if eye.kind != "clip":
        return images
    words = tokenizer(shop)

    def batch_at(step: int) -> dict[str, Any]:
        batch = images(step)
        return {**batch, "tokens": token_ids(words, captions(batch["scenes"]))}

    return batch_at


def eyes_of(recipe: AddRecipe | GanRecipe) -> tuple[str, ...]:
    """The eyes that `recipe` names, each once."""
    return tuple(name for name in dict.fromkeys((recipe.features, recipe.caption_encoder)) if name != POOLED)


def load_features(shop: Workshop, name: str) -> FrozenFeatures:
    """The finished eye called `name`, as the discriminator reads it.

    Raises:
        UsageError: for an unknown name.
        WeightsError: where it has not been trained.
    """
    if name not in EYES:
        raise UsageError(f"unknown feature network {name!r}; there are {', '.join(EYES)}")
    vit = make_eye(EYES[name].size)
    vit.load_state_dict({key: value for key, value in shop.weights(name).items() if not key.startswith(_JOINED)})
    return FrozenFeatures(vit, EYES[name].size.depths)


def load_caption_encoder(shop: Workshop, name: str) -> CaptionEncoder | None:
    """What the eye called `name` learned of captions; None for "pooled", which is no eye.

    Raises what `load_guide` raises.
    """
    if name == POOLED:
        return None
    tower = make_text_tower(tokenizer(shop))
    tower.load_state_dict(below(_joined(shop, name), "text."))
    return CaptionEncoder(tower)


def load_guide(shop: Workshop, name: str) -> ClipGuide:
    """The finished eye called `name`, with its way into the space that it shares with captions.

    Raises:
        UsageError: for an unknown name, or an eye that reads no captions.
        WeightsError: where it has not been trained.
    """
    joined, features = _joined(shop, name), load_features(shop, name)
    projection = nn.Linear(features.width, EMBEDDING_WIDTH, bias=False)
    projection.load_state_dict(below(joined, "image_projection."))
    return ClipGuide(features, projection)


def _joined(shop: Workshop, name: str) -> dict[str, Tensor]:
    """The tensors that join the eye called `name` to captions."""
    with_captions = [other for other, eye in EYES.items() if eye.kind == "clip"]
    if name not in with_captions:
        raise UsageError(f"{name!r} is no eye that learns from captions; those are {', '.join(with_captions)}")
    return below(shop.weights(name), _JOINED)


def kept_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The vision transformer's tensors; of an eye that learned from captions also what joins it to them."""
    tensors = network.state_dict()
    joined = {_JOINED + key: tensors[key] for key in tensors if key.startswith(("text.", "image_projection."))}
    return below(tensors, "eye.") | joined
