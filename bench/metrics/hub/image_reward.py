"""ImageReward v1.0 (Xu et al. 2023, arXiv 2304.05977): BLIP's image-grounded text encoder and a head.

transformers hosts every part: `BlipVisionModel` is the image tower and `BlipTextModel` the text tower with attention to
the image's patches. The published package does not import beside current transformers, so it is not used. The prompt is
cut to 35 tokens; the score is that of the first token, shifted and scaled as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertTokenizer, BlipConfig, BlipTextModel, BlipVisionModel

from bench.errors import WeightsError
from bench.judging import Prompt
from bench.metrics.hub.heads import ScoreHead
from bench.metrics.hub.load import fill, once, pretrained, tensors
from bench.metrics.hub.pixels import Pixels
from bench.metrics.interface import MetricContext

MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072
"""Of the rewards of the training set, from the published code (THUDM/ImageReward, Apache-2.0)."""

LONGEST = 35
_BATCH = 32


class RewardNetwork(nn.Module):
    """The three parts, under the names of the file that `bench.metrics.hub.convert` writes."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.vision_model = BlipVisionModel(config.vision_config)
        self.text_encoder = BlipTextModel(config.text_config, add_pooling_layer=False)
        self.head = ScoreHead(config.text_config.hidden_size)

    def forward(self, pixels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Pixels (N, 3, S, S), token ids and mask (N, L) -> scores (N,), as published."""
        patches = self.vision_model(pixel_values=pixels).last_hidden_state
        hidden = self.text_encoder(
            input_ids=ids,
            attention_mask=mask,
            encoder_hidden_states=patches,
            encoder_attention_mask=torch.ones(patches.shape[:2], dtype=torch.long, device=patches.device),
        ).last_hidden_state
        scores: Tensor = (self.head(hidden[:, 0]) - MEAN) / DEVIATION
        return scores


class RewardScorer:
    """Images and their prompts -> rewards (N,)."""

    name = "image-reward"

    def __init__(self, folder: Path, weights_hash: str, device: torch.device) -> None:
        self.weights_hash, self._device = weights_hash, device
        try:
            config = BlipConfig.from_pretrained(folder, local_files_only=True)  # nosec B615
        except (OSError, ValueError) as error:
            raise WeightsError(f"{folder} has no BLIP config.json; convert the published file again") from error
        config.text_config.is_decoder = True  # so that its layers attend to the image
        self.tokenizer = pretrained(BertTokenizer, folder, device)
        self.network = RewardNetwork(config)
        fill(self.network, tensors(folder, self.name), folder, device)
        self._pixels = Pixels(int(config.vision_config.image_size))
        self.resize = self._pixels.protocol

    @torch.inference_mode()
    def __call__(self, images: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        parts = []
        for start in range(0, len(images), _BATCH):
            texts = [prompt.text for prompt in prompts[start : start + _BATCH]]
            tokens: Any = self.tokenizer(
                texts, padding="max_length", truncation=True, max_length=LONGEST, return_tensors="pt"
            )
            pixels = self._pixels(images[start : start + _BATCH]).to(self._device)
            ids, mask = (tokens[key].to(self._device) for key in ("input_ids", "attention_mask"))
            parts.append(self.network(pixels, ids, mask).float().cpu())
        return torch.cat(parts)

    def truncated(self, prompts: Sequence[str]) -> int:
        """How many of the prompts are longer than 35 tokens."""
        found: Any = self.tokenizer(list(prompts), truncation=False, padding=False, verbose=False)
        return sum(len(ids) > LONGEST for ids in found["input_ids"])


def image_reward(context: MetricContext, metric: str) -> RewardScorer:
    """ImageReward, loaded once a run.

    Raises:
        UsageError: where the run was given no weights for it.
        WeightsError: where they do not fit.
    """
    name = RewardScorer.name
    folder, weights_hash = context.files.path(name, metric), context.files.hash(name, metric)
    return once(context, name, lambda: RewardScorer(folder, weights_hash, context.device))
