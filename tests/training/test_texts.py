"""Text embeddings are computed once, and are those that the teacher's encoders give, in half precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.suites.shapes.generator.networks import make_text_encoders, make_unet
from bench.suites.shapes.training.data import LatentBatches
from bench.suites.shapes.training.teacher import Teacher
from bench.suites.shapes.training.texts import encoded_texts

WORDS = 20


def new_teacher(seed: int) -> Teacher:
    torch.manual_seed(seed)
    return Teacher(*make_text_encoders(WORDS, 1, 2), make_unet()).eval().requires_grad_(False)


@pytest.fixture
def latents(tmp_path: Path) -> LatentBatches:
    """Six images, two of which share a caption."""
    tokens = torch.randint(3, WORDS, (6, 24), generator=torch.Generator().manual_seed(0)).short()
    tokens[4] = tokens[1]
    path = tmp_path / "latents-world0.safetensors"
    save_file({"latents": torch.randn(6, 8, 8, 8).half(), "tokens": tokens}, path)
    return LatentBatches(path, batch_size=2, seed=0)


def test_they_are_the_teachers_and_each_caption_is_encoded_once(
    latents: LatentBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = new_teacher(0)
    wanted = torch.tensor([5, 1, 4, 0])
    embeds, pooled = teacher.encode(latents.tokens[wanted].long())
    seen: list[int] = []
    encode = Teacher.encode
    monkeypatch.setattr(Teacher, "encode", lambda self, tokens: (seen.append(len(tokens)), encode(self, tokens))[1])
    found = encoded_texts(latents, teacher)(wanted)
    assert seen == [5]
    again = encoded_texts(latents, teacher)(wanted + 6)
    assert seen == [5], "computed a second time"
    for condition in (found, again):  # half precision rounds to 5e-4
        assert torch.allclose(condition.embeds, embeds, rtol=1e-3, atol=1e-3)
        assert torch.allclose(condition.pooled, pooled, rtol=1e-3, atol=1e-3)
        assert condition.embeds.dtype == torch.float32
    assert torch.equal(found.embeds[1], found.embeds[2])
    assert not torch.allclose(found.embeds[0], found.embeds[1], rtol=1e-2, atol=1e-2)


def test_another_teacher_encodes_its_own(latents: LatentBatches) -> None:
    rows = torch.arange(3)
    one, other = (encoded_texts(latents, new_teacher(seed))(rows).embeds for seed in (0, 1))
    assert float((one - other).abs().max()) > 0.1
