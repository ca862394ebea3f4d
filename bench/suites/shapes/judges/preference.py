"""The preference model, a CLIP fine-tuned on pairs in the manner of PickScore (Kirstain et al. 2023, arXiv 2305.01569).

Its score is the scaled cosine of image and caption; of a pair, softmax over the two scores is the chance that the first
is preferred. The better image of a pair is known because the worse one was degraded by a known amount.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

from bench.suites.shapes.captions import captions
from bench.suites.shapes.generator.tokenizer import token_ids
from bench.suites.shapes.judges.clip import cosine
from bench.suites.shapes.judges.degrade import KINDS, SMALLEST, degraded
from bench.suites.shapes.scenes import make_scenes, redrawn
from methods.distill.draws import Draws
from methods.distill.objective import Batch, Objective


class PreferenceObjective(Objective):
    """Batches hold "better" and "worse" images, uint8, and the "tokens" of the caption of both.

    Only the vision side learns: the text tower stays the CLIP judge's, so the two share it.
    """

    def __init__(self, clip: CLIPModel) -> None:
        self.clip = clip
        clip.text_model.requires_grad_(False)
        clip.text_projection.requires_grad_(False)

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return {"preference": self.clip}

    def losses(self, network: str, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        better, worse = (
            scores(self.clip, batch["better"], batch["tokens"]),
            scores(self.clip, batch["worse"], batch["tokens"]),
        )
        return {"pair": F.softplus(worse - better).mean()}


def scores(clip: CLIPModel, images: Tensor, tokens: Tensor) -> Tensor:
    """float32 (N,): the preference score of each image under its caption."""
    scaled: Tensor = cosine(clip, images, tokens) * clip.logit_scale.exp()
    return scaled


def pairs(tokenizer: CLIPTokenizer, split: str, batch_size: int, start: int = 0) -> Callable[[int], dict[str, Any]]:
    """Batch k: pairs of pictures of one caption. Half show the same scene, half another draw of it; half of the better
    images are untouched, the others less degraded than the worse by at least `SMALLEST`."""

    def batch_at(step: int) -> dict[str, Any]:
        first = start + step * batch_size
        rng = torch.Generator().manual_seed(first)
        scenes = make_scenes(split, range(first, first + batch_size))
        other = redrawn(scenes, seed=step)
        use_other = torch.rand(batch_size, generator=rng) < 0.5
        kind = torch.randint(len(KINDS), (batch_size,), generator=rng)
        worse_amount = SMALLEST + (1 - SMALLEST) * torch.rand(batch_size, generator=rng)
        gentle = (worse_amount - SMALLEST) * torch.rand(batch_size, generator=rng)
        untouched = (torch.rand(batch_size, generator=rng) < 0.5) | (kind >= 3)
        better = degraded(scenes, kind, torch.where(untouched, 0.0, gentle), rng)
        same, drawn_again = degraded(scenes, kind, worse_amount, rng), degraded(other, kind, worse_amount, rng)
        worse = torch.where(use_other[:, None, None, None], drawn_again, same)
        return {"better": better, "worse": worse, "kind": kind, "tokens": token_ids(tokenizer, captions(scenes))}

    return batch_at


@torch.no_grad()
def agreement(clip: CLIPModel, batch: Batch) -> Tensor:
    """bool (N,): whether the better image of each pair scores higher."""
    return scores(clip, batch["better"], batch["tokens"]) > scores(clip, batch["worse"], batch["tokens"])
