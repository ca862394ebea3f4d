"""The CLIP score against the cosine written out, on a random CLIP of a few thousand weights."""

from __future__ import annotations

import warnings

import pytest
import torch
from torchmetrics.multimodal import CLIPScore

from bench.metrics.clip import ClipShapes
from tests.metrics.tiny import LONGEST_TEXT, TinyProcessor, context, feed, prompts, shapes, tiny_clip


def cosines(images: torch.Tensor, texts: list[str]) -> torch.Tensor:
    """One image and one text at a time, straight from the model's own forward pass."""
    judge, found = tiny_clip(), []
    for image, text in zip(images, texts, strict=True):
        with torch.no_grad():
            out = judge.model(**judge.processor(text=[text], images=[image]))
        found.append((out.image_embeds @ out.text_embeds.T).item())  # both have length 1
    return torch.tensor(found)


def test_value_and_per_image_scores_are_a_hundred_cosines() -> None:
    images, texts = shapes(30), [prompt.text for prompt in prompts(30)]
    expected = 100 * cosines(images, texts)
    score = feed(ClipShapes(context()), images, [20, 10]).compute()
    assert score.per_image == pytest.approx(expected.tolist(), abs=1e-3)  # float32 cosines times 100
    assert score.value == pytest.approx(max(float(expected.mean()), 0.0), abs=1e-3)
    shuffled = 100 * cosines(images, texts[::-1])
    assert score.per_image != pytest.approx(shuffled.tolist(), abs=1e-3)  # the right text for each image


def test_a_negative_mean_is_zero_and_its_images_stay_negative() -> None:
    score = feed(ClipShapes(context(clip=tiny_clip(seed=0))), shapes(30)).compute()
    assert score.per_image is not None
    assert sum(score.per_image) < 0
    assert (score.value, score.ci_low) == (0.0, 0.0)


def test_without_the_shim_torchmetrics_does_not_take_this_model() -> None:
    judge = tiny_clip()
    bare = CLIPScore(model_name_or_path=lambda: (judge.model, judge.processor))
    if isinstance(judge.model.get_text_features(torch.tensor([[1, 5, 2]])), torch.Tensor):
        pytest.skip("this transformers returns tensors")
    with pytest.raises(AttributeError):
        bare.update(shapes(2), [prompt.text for prompt in prompts(2)])


def test_long_texts_keep_their_end_token_and_need_no_cutting_by_torchmetrics() -> None:
    tokens = TinyProcessor()(text=["word " * 60])["input_ids"][0]
    assert len(tokens) == LONGEST_TEXT
    assert tokens[-1] == TinyProcessor.end
    images = shapes(3)
    judge = tiny_clip()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric = CLIPScore(model_name_or_path=ClipShapes(context(clip=judge))._model_and_processor)
        metric.update(images, ["word " * 60] * 3)
