"""A denoiser or a LoRA that does not fit its base is told from its header, with the layer named."""

from __future__ import annotations

import pytest

from methods.errors import WeightsError
from methods.hub.fit import GUIDANCE_INPUT, check_denoiser, check_dtypes, check_lora, kind_of, lora_pairs, ranks
from methods.hub.headers import TensorHeader

Shapes = dict[str, tuple[int, ...]]

BASE: Shapes = {
    "conv_in.weight": (32, 4, 3, 3),
    "mid.attn2.to_k.weight": (64, 2048),
    "mid.attn2.to_k.bias": (64,),
    "down_blocks.0.attn1.to_q.weight": (64, 64),
}


def header(shapes: Shapes, dtype: str = "F16") -> dict[str, TensorHeader]:
    return {name: TensorHeader(dtype, shape) for name, shape in shapes.items()}


def lora(style: str, inputs: int = 2048, rank: int = 8, up_rank: int | None = None) -> dict[str, TensorHeader]:
    """A LoRA on `mid.attn2.to_k`, in one of the spellings that are about."""
    names = {
        "peft": ("unet.mid.attn2.to_k.lora_A.weight", "unet.mid.attn2.to_k.lora_B.weight"),
        "diffusers": ("unet.mid.attn2.to_k.lora.down.weight", "unet.mid.attn2.to_k.lora.up.weight"),
        "processor": ("unet.mid.attn2.processor.to_k_lora.down.weight", "unet.mid.attn2.processor.to_k_lora.up.weight"),
        "kohya": ("lora_unet_mid_attn2_to_k.lora_down.weight", "lora_unet_mid_attn2_to_k.lora_up.weight"),
    }[style]
    return header({names[0]: (rank, inputs), names[1]: (64, rank if up_rank is None else up_rank)})


STYLES = ("peft", "diffusers", "processor", "kohya")


@pytest.mark.parametrize("style", STYLES)
def test_a_lora_that_fits(style: str) -> None:
    check_lora(lora(style), header(BASE), "x")
    assert kind_of(lora(style)) == "lora"
    assert ranks(lora(style)) == (8,)
    assert len(lora_pairs(lora(style))) == 1


@pytest.mark.parametrize("style", STYLES)
def test_a_lora_of_another_base_is_named_with_its_rank_and_what_it_was_made_for(style: str) -> None:
    with pytest.raises(WeightsError) as caught:
        check_lora(lora(style, inputs=768), header(BASE), "mine.safetensors")
    assert str(caught.value) == (
        "mine.safetensors: of rank 8 for a mid.attn2.to_k from 768 (SD 1.5's text) to 64,"
        " this base's is from 2048 (SDXL's text) to 64; it is of another base"
    )


@pytest.mark.parametrize("style", STYLES)
def test_two_matrices_of_different_rank(style: str) -> None:
    with pytest.raises(WeightsError, match="of rank 8 and 4; they are of two LoRAs"):
        check_lora(lora(style, up_rank=4), header(BASE), "x")


def test_half_a_lora_and_a_layer_that_is_not_there() -> None:
    half = dict([next(iter(lora("peft").items()))])
    with pytest.raises(WeightsError, match=r"mid.attn2.to_k has no up matrix"):
        check_lora(half, header(BASE), "x")
    other = {name.replace("mid", "nowhere"): tensor for name, tensor in lora("peft").items()}
    with pytest.raises(WeightsError, match=r"a layer nowhere.attn2.to_k, which this base has not"):
        check_lora(other, header(BASE), "x")


def test_text_encoders_and_other_spellings_of_layers_are_left_to_diffusers() -> None:
    text = header({"lora_te1_x.lora_down.weight": (8, 5), "lora_te1_x.lora_up.weight": (5, 8)})
    sgm = header(
        {
            "lora_unet_input_blocks_4_1_proj.lora_down.weight": (8, 5),
            "lora_unet_input_blocks_4_1_proj.lora_up.weight": (9, 8),
        }
    )
    check_lora({**text, **sgm}, header(BASE), "x")
    assert len(lora_pairs(text)) == 0


def test_a_denoiser_that_fits_with_or_without_an_input_for_guidance() -> None:
    check_denoiser(header(BASE), header(BASE), "x")
    check_denoiser(header({**BASE, GUIDANCE_INPUT: (32, 256)}), header(BASE), "x")
    assert kind_of(header(BASE)) == "denoiser"
    assert kind_of(header({"model.diffusion_model.input_blocks.0.0.weight": (1,)})) == "pipeline"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mid.attn2.to_k.weight": (64, 768)}, r"mid.attn2.to_k.weight is \(64, 768\), this base's is \(64, 2048\)"),
        ({"conv_in.weight": None}, "1 tensors of this base are missing, as conv_in.weight"),
        ({"up.weight": (3, 3)}, "1 tensors are not in this base, as up.weight"),
    ],
)
def test_a_denoiser_of_another_architecture(change: dict[str, tuple[int, ...] | None], reason: str) -> None:
    shapes = {name: shape for name, shape in {**BASE, **change}.items() if shape is not None}
    with pytest.raises(WeightsError, match=reason):
        check_denoiser(header(shapes), header(BASE), "x")


@pytest.mark.parametrize("dtype", ["F8_E4M3", "I8", "U8"])
def test_a_component_of_the_wrong_dtype_is_named(dtype: str) -> None:
    with pytest.raises(WeightsError, match=rf"unet/x: conv_in.weight is stored as {dtype}"):
        check_dtypes(header(BASE, dtype), "unet/x")
    check_dtypes(header({"text_model.embeddings.position_ids": (1, 77)}, "I64"), "x")
