"""CLIP-shapes: how well an image matches its caption, by torchmetrics' CLIPScore with the suite's own CLIP.

Hessel et al. 2021, arXiv 2104.08718, in torchmetrics' convention: 100 times the mean cosine, and 0 where that is
negative (the paper takes 2.5 times the cosine, cut off an image at a time).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics.multimodal import CLIPScore

from bench.judging import ClipJudge
from bench.metrics.collecting import PromptList, protocol, require, require_images, score
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.metrics.statistics import Estimate

BATCH_SIZE = 128


class ClipShapes(Metric):
    """The CLIP score, 0 to 100, with its bootstrap interval; `per_image` is 100 times the cosine of each image."""

    info: ClassVar[MetricInfo] = MetricInfo(
        name="clip-shapes",
        title="CLIP-shapes",
        unit="",
        higher_is_better=True,
        paper="arXiv:2104.08718",
        needs_reference=False,
        min_images=2,
        sees_prompts=True,
    )

    def __init__(self, context: MetricContext) -> None:
        require(context.judges.clip, self.info, "a CLIP", context.suite)
        assert context.judges.clip is not None
        self._context = context
        self._judge: ClipJudge = context.judges.clip
        self._shim = ClipShim(self._judge.model)
        self._score = CLIPScore(model_name_or_path=self._model_and_processor)
        self._prompts = PromptList()
        self._cosines: list[float] = []

    def update(self, batch: MetricBatch) -> None:
        self._prompts.add(batch.prompts, len(batch.images))
        texts = [prompt.text for prompt in batch.prompts]
        for start in range(0, len(texts), BATCH_SIZE):
            images = batch.images[start : start + BATCH_SIZE].to(self._shim.device)
            self._score.update(images, texts[start : start + BATCH_SIZE])
            self._cosines.extend(self._shim.last_cosines().tolist())

    def compute(self) -> Score:
        require_images(self._prompts.n, self.info)
        per_image = [100.0 * cosine for cosine in self._cosines]
        interval = self._prompts.mean_interval(per_image)
        value = float(self._score.compute())
        return score(
            self.info,
            Estimate(value, interval.low, interval.high, interval.n).at_least(0.0),
            protocol(
                self._context,
                self._prompts,
                judge=self._judge.name,
                judge_weights=self._judge.weights_hash,
                convention="max(100 * mean cosine, 0)",
            ),
            per_image=per_image,
        )

    def _model_and_processor(self) -> tuple[Any, Any]:
        return self._shim, self._judge.processor


class ClipShim(nn.Module):
    """What torchmetrics' CLIPScore calls, over a transformers `CLIPModel` of either generation.

    From transformers 5 on, `get_image_features` and `get_text_features` return an output object where torchmetrics 1.9
    still expects a tensor. The embeddings of the last call are kept, since CLIPScore keeps only a sum over images.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._image: Tensor | None = None
        self._text: Tensor | None = None

    @property
    def config(self) -> Any:
        """The model's own, from which CLIPScore reads the longest text."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where the model is; CLIPScore moves it to wherever the images are, so they are sent here first."""
        parameter: Tensor = next(self.model.parameters())
        return parameter.device

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """Embeddings (N, E) of what the processor made of N images."""
        self._image = _as_tensor(self.model.get_image_features(pixel_values))
        return self._image

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embeddings (N, E) of N tokenised texts."""
        self._text = _as_tensor(self.model.get_text_features(input_ids, attention_mask))
        return self._text

    def last_cosines(self) -> Tensor:
        """float64 (N,) on the CPU: the cosine of each image of the last call with its text.

        Raises:
            ValueError: where an embedding is not finite or there was no call.
        """
        if self._image is None or self._text is None:
            raise ValueError("no images were scored yet")
        cosines = nn.functional.cosine_similarity(self._image.double().cpu(), self._text.double().cpu())
        if not cosines.isfinite().all():
            raise ValueError("CLIP embeddings must be finite")
        return cosines


def _as_tensor(output: Any) -> Tensor:
    """The projected embeddings (N, E), given directly or as the pooled output."""
    features = output if isinstance(output, Tensor) else output.pooler_output
    assert isinstance(features, Tensor)
    return features
