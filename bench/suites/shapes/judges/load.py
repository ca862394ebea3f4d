"""The judges as metrics take them, from the zoo's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from bench.judging import ClipJudge, Judges, Prompt
from bench.suites.shapes.captions import demands
from bench.suites.shapes.generator.networks import MAX_TOKENS
from bench.suites.shapes.generator.tokenizer import load_tokenizer, token_ids
from bench.suites.shapes.judges.clip import make_clip, pixels
from bench.suites.shapes.judges.preference import scores
from bench.suites.shapes.judges.recogniser import Recogniser, detections, satisfied
from bench.suites.shapes.scenes import make_scenes
from bench.suites.shapes.zoo import Zoo

_BATCH = 250


class RecogniserFeatures:
    """The recogniser's pooled last feature map."""

    name = "shapes-recogniser"
    resize = "none"

    def __init__(self, recogniser: Recogniser, weights_hash: str, device: torch.device) -> None:
        self.network, self.weights_hash, self._device = recogniser, weights_hash, device

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat([self.network.features(part.to(self._device)).cpu() for part in torch.split(images, _BATCH)])


class AttributeScorer:
    """1.0 where the recogniser sees everything that the caption names, bound together, else 0.0."""

    name = "shapes-recogniser"

    def __init__(self, recogniser: Recogniser, weights_hash: str, device: torch.device) -> None:
        self._network, self.weights_hash, self._device = recogniser, weights_hash, device

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        demanded = demands(make_scenes("test", [int(prompt.id) for prompt in prompts]))
        right: list[bool] = []
        for start in range(0, len(images), _BATCH):
            logits = self._network(images[start : start + _BATCH].to(self._device))
            background = logits["background"].argmax(dim=1).tolist()
            rows = zip(demanded[start : start + _BATCH], detections(logits), background, strict=True)
            right += [satisfied(demand, found, place) for demand, found, place in rows]
        return torch.tensor(right, dtype=torch.float32)


class PreferenceScorer:
    """The preference model's score of an image under its caption."""

    name = "shapes-preference"

    def __init__(self, clip: CLIPModel, tokenizer: CLIPTokenizer, weights_hash: str, device: torch.device) -> None:
        self._clip, self._tokenizer, self.weights_hash, self._device = clip, tokenizer, weights_hash, device

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        parts: list[Tensor] = []
        for start in range(0, len(images), _BATCH):
            tokens = token_ids(self._tokenizer, [prompt.text for prompt in prompts[start : start + _BATCH]])
            batch = images[start : start + _BATCH]
            parts.append(scores(self._clip, batch.to(self._device), tokens.to(self._device)).cpu())
        return torch.cat(parts).float()


class ShapesProcessor:
    """What torchmetrics' CLIPScore calls: texts to padded tokens, images to pixels, with no resizing."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        self.tokenizer = tokenizer

    def __call__(
        self, text: Sequence[str] | None = None, images: Any = None, return_tensors: str = "pt", padding: bool = True
    ) -> dict[str, Tensor]:
        inputs: dict[str, Tensor] = {}
        if text is not None:
            inputs["input_ids"] = token_ids(self.tokenizer, list(text))
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if images is not None:
            inputs["pixel_values"] = pixels(torch.stack([torch.as_tensor(image) for image in images]))
        return inputs


def load_judges(zoo: Zoo, device: torch.device) -> Judges:
    """All judges of the suite on `device`, in eval mode."""
    recogniser = Recogniser()
    recogniser.load_state_dict(zoo.tensors("recogniser"))
    recogniser.eval().requires_grad_(False).to(device)
    words = load_tokenizer(zoo.folder / "tokenizer", MAX_TOKENS)
    clip, preference = make_clip(words), make_clip(words)
    tensors = zoo.tensors("clip")
    clip.load_state_dict(tensors)
    preference.load_state_dict({**tensors, **zoo.tensors("preference")})
    for model in (clip, preference):
        model.eval().requires_grad_(False).to(device)
    hashes = {name: zoo.hash_of(name) for name in ("recogniser", "clip", "preference")}
    return Judges(
        recogniser=RecogniserFeatures(recogniser, hashes["recogniser"], device),
        clip=ClipJudge("shapes-clip", hashes["clip"], clip, ShapesProcessor(words)),
        attributes=AttributeScorer(recogniser, hashes["recogniser"], device),
        preference=PreferenceScorer(preference, words, hashes["preference"], device),
    )
