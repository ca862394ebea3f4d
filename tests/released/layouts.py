"""Random networks in the very layouts of the released checkpoints: folders, a denoiser alone, LoRAs of two kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderDC, AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from bench.suites.shapes.generator.tokenizer import write_tokenizer
from methods.weights import LORA

PIXELS = 16
"""What the small checkpoints are sampled at, in place of 512 or 1024."""
WIDTH, SECOND_WIDTH, T5_WIDTH, TOKENS, LATENTS = 16, 24, 32, 16, 4

SDXL_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "use_karras_sigmas": False,
}
"""As SDXL base ships it: the keys of several schedulers at once."""
SD15_SCHEDULER = {
    name: value
    for name, value in SDXL_SCHEDULER.items()
    if name not in ("timestep_spacing", "interpolation_type", "use_karras_sigmas", "sample_max_value")
} | {"_class_name": "PNDMScheduler"}
SD21_SCHEDULER = SD15_SCHEDULER | {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}
FLOW_SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}
SCHNELL_SCHEDULER = FLOW_SCHEDULER | {
    "shift": 1.0, "use_dynamic_shifting": False, "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}  # fmt: skip
SANA_SCHEDULER = {"_class_name": "SCMScheduler", "num_train_timesteps": 1000, "prediction_type": "trigflow"}


def write_base(
    family: str, folder: Path, *, embedded: bool = False, scheduler: Mapping[str, Any] | None = None
) -> Path:
    """Write a pipeline folder of `family`; `embedded` gives an SD or SDXL denoiser an input for a guidance scale."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _WRITERS[family](folder, embedded)
    if scheduler is not None:
        write_json(folder / "scheduler" / "scheduler_config.json", dict(scheduler))
        index = read_json(folder / "model_index.json")
        write_json(folder / "model_index.json", index | {"scheduler": ["diffusers", scheduler["_class_name"]]})
    return folder


def read_json(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(dict(data), indent=1), encoding="utf-8")


def add_lora(folder: Path, *, kohya: bool, scale: float = 0.5) -> Path:
    """Put a random LoRA of rank 2 on every attention projection beside the parts of a pipeline with a UNet."""
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    generator = torch.Generator().manual_seed(1)
    tensors: dict[str, Tensor] = {}
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.Linear) and name.endswith(("to_q", "to_k", "to_v", "to_out.0")):
            down = scale * torch.randn(2, module.in_features, generator=generator)
            up = scale * torch.randn(module.out_features, 2, generator=generator)
            if kohya:
                key = "lora_unet_" + name.replace(".", "_")
                tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
                tensors[f"{key}.alpha"] = torch.tensor(2.0)
            else:
                tensors |= {f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up}
    save_file(tensors, folder / LORA)
    return folder


def replace_unet(folder: Path, *, seed: int = 7) -> Path:
    """Put another denoiser in, as a file of a UNet alone is put onto its base: its tensors, the base's config."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder, subfolder="unet"))
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: value.contiguous() for name, value in unet.state_dict().items()}, path)
    return folder


def _sdxl(folder: Path, embedded: bool) -> None:
    words = write_tokenizer(folder / "tokenizer", TOKENS)
    diffusers.StableDiffusionXLPipeline(
        vae=_vae(scaling_factor=0.13025),
        text_encoder=CLIPTextModel(_clip(words)),
        text_encoder_2=CLIPTextModelWithProjection(_clip(words, SECOND_WIDTH)),
        tokenizer=words,
        tokenizer_2=words,
        unet=_unet(
            WIDTH + SECOND_WIDTH,
            embedded,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        ),
        scheduler=diffusers.EulerDiscreteScheduler.from_config(SDXL_SCHEDULER),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    ).save_pretrained(folder)


def _sd(folder: Path, embedded: bool, scheduler: Mapping[str, Any]) -> None:
    """With a safety checker named in the index and a pickle in its folder, which must never be touched."""
    words = write_tokenizer(folder / "tokenizer", TOKENS)
    diffusers.StableDiffusionPipeline(
        vae=_vae(scaling_factor=0.18215),
        text_encoder=CLIPTextModel(_clip(words)),
        tokenizer=words,
        unet=_unet(WIDTH, embedded),
        scheduler=getattr(diffusers, scheduler["_class_name"]).from_config(scheduler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    index = read_json(folder / "model_index.json")
    index |= {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "requires_safety_checker": True,
    }
    write_json(folder / "model_index.json", index)
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "pytorch_model.bin").write_bytes(b"not to be read")


def _sd15(folder: Path, embedded: bool) -> None:
    _sd(folder, embedded, SD15_SCHEDULER)


def _sd21(folder: Path, embedded: bool) -> None:
    _sd(folder, embedded, SD21_SCHEDULER)


def _sd35(folder: Path, _embedded: bool) -> None:
    words = write_tokenizer(folder / "tokenizer", TOKENS)
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=LATENTS, out_channels=LATENTS, num_layers=1, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=T5_WIDTH, caption_projection_dim=16,
        pooled_projection_dim=2 * WIDTH, pos_embed_max_size=16,
    )  # fmt: skip
    diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler.from_config(FLOW_SCHEDULER),
        vae=_vae(scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModelWithProjection(_clip(words)),
        tokenizer=words,
        text_encoder_2=CLIPTextModelWithProjection(_clip(words)),
        tokenizer_2=words,
        text_encoder_3=_t5(),
        tokenizer_3=_plain_tokenizer(),
    ).save_pretrained(folder)


def _flux(folder: Path, _embedded: bool) -> None:
    words = write_tokenizer(folder / "tokenizer", TOKENS)
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=4 * LATENTS, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=T5_WIDTH, pooled_projection_dim=WIDTH, guidance_embeds=False,
        axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler.from_config(SCHNELL_SCHEDULER),
        vae=_vae(scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModel(_clip(words)),
        tokenizer=words,
        text_encoder_2=_t5(),
        tokenizer_2=_plain_tokenizer(),
        transformer=transformer,
    ).save_pretrained(folder)


def _sana(folder: Path, _embedded: bool) -> None:
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1, in_channels=LATENTS, out_channels=LATENTS, num_layers=1, num_attention_heads=2,
        attention_head_dim=4, num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8,
        caption_channels=8, sample_size=32, qk_norm="rms_norm_across_heads", guidance_embeds=True,
    )  # fmt: skip
    vae = AutoencoderDC(
        in_channels=3, latent_channels=LATENTS, attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"), decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)), encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1),
        downsample_block_type="conv", upsample_block_type="interpolate", scaling_factor=0.41407,
    )  # fmt: skip
    gemma = Gemma2Config(
        head_dim=4, hidden_size=8, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1,
        num_key_value_heads=2, vocab_size=_VOCABULARY, max_position_embeddings=2048, attn_implementation="eager",
    )  # fmt: skip
    diffusers.SanaSprintPipeline(
        tokenizer=_plain_tokenizer(),
        text_encoder=Gemma2Model(gemma),
        vae=vae,
        transformer=transformer,
        scheduler=diffusers.SCMScheduler.from_config(SANA_SCHEDULER),
    ).save_pretrained(folder)


def _unet(cross_attention_dim: int, embedded: bool, **more: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=PIXELS // 2,
        in_channels=LATENTS,
        out_channels=LATENTS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        attention_head_dim=(1, 2),
        cross_attention_dim=cross_attention_dim,
        norm_num_groups=4,
        use_linear_projection=True,
        time_cond_proj_dim=8 if embedded else None,
        **more,
    )


def _vae(**more: Any) -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16),
        layers_per_block=1,
        latent_channels=LATENTS,
        norm_num_groups=4,
        sample_size=PIXELS,
        force_upcast=True,
        **more,
    )


def _clip(words: Any, width: int = WIDTH) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        projection_dim=WIDTH,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.eos_token_id,
    )


def _t5() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=_VOCABULARY, d_model=T5_WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )


_VOCABULARY = 16


def _plain_tokenizer() -> PreTrainedTokenizerFast:
    """In place of T5's and Gemma's, whose vocabularies are large: every unknown word is one token."""
    words = {
        "<pad>": 0,
        "</s>": 1,
        "<unk>": 2,
        **{word: 3 + index for index, word in enumerate(("a", "red", "circle"))},
    }
    model = Tokenizer(WordLevel(words, unk_token="<unk>"))
    model.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )


_WRITERS = {"sdxl": _sdxl, "sd15": _sd15, "sd21": _sd21, "sd35": _sd35, "flux": _flux, "sana": _sana}
