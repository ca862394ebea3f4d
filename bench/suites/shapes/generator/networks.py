"""The generator's networks: SDXL in miniature, in diffusers' and transformers' own classes."""

from __future__ import annotations

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from bench.suites.shapes import vocabulary as words
from methods.gan.generator import StyleGenerator

LATENT_CHANNELS = 8
LATENT_SIZE = words.IMAGE_SIZE // 4
TEXT_WIDTHS = (64, 80)
POOLED_WIDTH = 80
UNET_WIDTHS = (64, 80)
ADDITION_TIME_EMBED_DIM = 8
MAX_TOKENS = 24


def make_vae() -> AutoencoderKL:
    """32 x 32 x 3 pixels <-> 8 x 8 x 8 latents."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(24, 48, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=words.IMAGE_SIZE,
        scaling_factor=1.0,
        force_upcast=False,
    )


def make_text_encoders(vocabulary_size: int, bos: int, eos: int) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """The two text encoders; the second has the projection whose output conditions the UNet as a whole."""
    first, second = (
        CLIPTextConfig(
            vocab_size=vocabulary_size,
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=POOLED_WIDTH,
            bos_token_id=bos,
            eos_token_id=eos,
            pad_token_id=eos,
        )
        for width, layers in zip(TEXT_WIDTHS, (2, 3), strict=True)
    )
    return CLIPTextModel(first), CLIPTextModelWithProjection(second)


def make_unet(widths: tuple[int, int] = UNET_WIDTHS, time_cond_proj_dim: int | None = None) -> UNet2DConditionModel:
    """The denoiser; `time_cond_proj_dim` adds the input for an embedded guidance scale."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        block_out_channels=widths,
        layers_per_block=1,
        attention_head_dim=tuple(max(1, width // 32) for width in widths),  # the number of heads, in spite of its name
        cross_attention_dim=sum(TEXT_WIDTHS),
        norm_num_groups=16,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=ADDITION_TIME_EMBED_DIM,
        projection_class_embeddings_input_dim=6 * ADDITION_TIME_EMBED_DIM + POOLED_WIDTH,
        time_cond_proj_dim=time_cond_proj_dim,
    )


def make_style_generator(channels: int = 128) -> StyleGenerator:
    """The GAN's generator of latents, about as large as the UNet; it is told both encoders' embeddings of a caption."""
    made: StyleGenerator = StyleGenerator(
        out_channels=LATENT_CHANNELS,
        sample_size=LATENT_SIZE,
        text_width=sum(TEXT_WIDTHS) + POOLED_WIDTH,
        channels=channels,
        text_style_width=96,
        blocks=2,
        layer_scale=0.1,
    )
    return made
