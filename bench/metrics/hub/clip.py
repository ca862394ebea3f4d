"""A CLIP of any size as an extractor of image embeddings, with its text tower beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from bench.errors import WeightsError
from bench.metrics.hub.load import once, pretrained
from bench.metrics.hub.pixels import read_pixels
from bench.metrics.interface import MetricContext

_BATCH = 32


class ClipTower:
    """Image embeddings (N, E) as an extractor; `texts` gives those of prompts, `scale` the learned temperature."""

    def __init__(self, name: str, folder: Path, weights_hash: str, device: torch.device) -> None:
        self.name, self.weights_hash, self._device = name, weights_hash, device
        self.model = pretrained(CLIPModel, folder, device)
        self.tokenizer = pretrained(CLIPTokenizer, folder, device)
        self.longest = int(self.model.config.text_config.max_position_embeddings)
        self.pixels = read_pixels(folder, int(self.model.config.vision_config.image_size))
        self.resize = self.pixels.protocol
        if len(self.tokenizer) > self.model.config.text_config.vocab_size:
            raise WeightsError(f"{folder}: its tokenizer has more words than the text tower; take both from one place")

    @property
    def scale(self) -> float:
        """exp(logit_scale)."""
        return float(self.model.logit_scale.exp())

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        blocks = (self.pixels(block).to(self._device) for block in torch.split(images, _BATCH))
        return torch.cat([_embeddings(self.model.get_image_features(block)).float().cpu() for block in blocks])

    @torch.inference_mode()
    def texts(self, prompts: Sequence[str]) -> Tensor:
        """float32 (N, E). A prompt that is too long loses words at its end, never the end token the embedding is of."""
        distinct = list(dict.fromkeys(prompts))
        parts = []
        for start in range(0, len(distinct), _BATCH):
            tokens = self.tokens(distinct[start : start + _BATCH])
            found = self.model.get_text_features(
                input_ids=tokens["input_ids"].to(self._device), attention_mask=tokens["attention_mask"].to(self._device)
            )
            parts.append(_embeddings(found).float().cpu())
        rows = dict(zip(distinct, torch.cat(parts), strict=True))
        return torch.stack([rows[prompt] for prompt in prompts])

    def tokens(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """Padded token ids and their mask, cut before the end token."""
        found: Any = self.tokenizer(
            list(prompts), padding=True, truncation=True, max_length=self.longest, return_tensors="pt"
        )
        return {"input_ids": found["input_ids"], "attention_mask": found["attention_mask"]}

    def truncated(self, prompts: Sequence[str]) -> int:
        """How many of the prompts are longer than the text tower reads."""
        found: Any = self.tokenizer(list(prompts), truncation=False, padding=False, verbose=False)
        return sum(len(ids) > self.longest for ids in found["input_ids"])


def clip_tower(context: MetricContext, name: str, metric: str) -> ClipTower:
    """The CLIP of judge `name`, loaded once a run.

    Raises:
        UsageError: where the run was given no weights for it.
        WeightsError: where they cannot be loaded.
    """
    folder, weights_hash = context.files.path(name, metric), context.files.hash(name, metric)
    return once(context, name, lambda: ClipTower(name, folder, weights_hash, context.device))


def _embeddings(output: Any) -> Tensor:
    """The projected embeddings (N, E), given directly or, from transformers 5 on, as the pooled output."""
    found = output if isinstance(output, Tensor) else output.pooler_output
    assert isinstance(found, Tensor)
    return found
