"""Architectures of the shipped form, small enough to sample in a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CLIP = {
    "architecture": "CLIPTextModel", "hidden_act": "quick_gelu", "hidden_size": 16, "intermediate_size": 32,
    "layer_norm_eps": 1e-5, "max_position_embeddings": 16, "num_attention_heads": 2, "num_hidden_layers": 2,
    "projection_dim": 16, "vocab_size": 256,
}  # fmt: skip
UNET = {
    "attention_head_dim": 2, "block_out_channels": [16, 32], "cross_attention_dim": 16, "in_channels": 4,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "layers_per_block": 1, "norm_num_groups": 8,
    "out_channels": 4, "sample_size": 8, "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
}  # fmt: skip
VAE = {
    "block_out_channels": [8, 8, 8, 8], "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3,
    "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 4, "out_channels": 3, "sample_size": 64,
    "scaling_factor": 0.18215, "up_block_types": ["UpDecoderBlock2D"] * 4,
}  # fmt: skip
SCHEDULER = {
    "class": "EulerDiscreteScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000, "prediction_type": "epsilon", "steps_offset": 1,
}  # fmt: skip

SD: dict[str, Any] = {
    "pipeline": "StableDiffusionPipeline", "max_tokens": 16, "unet": UNET, "vae": VAE, "text_encoder": CLIP,
    "scheduler": SCHEDULER,
}  # fmt: skip
SDXL: dict[str, Any] = SD | {
    "pipeline": "StableDiffusionXLPipeline",
    "text_encoder_2": CLIP | {"architecture": "CLIPTextModelWithProjection", "hidden_size": 16},
    "unet": UNET | {
        "addition_embed_type": "text_time", "addition_time_embed_dim": 8, "cross_attention_dim": 32,
        "projection_class_embeddings_input_dim": 6 * 8 + 16, "use_linear_projection": True,
    },
}  # fmt: skip


def write(folder: Path, parts: dict[str, Any], name: str = "tiny") -> Path:
    """A JSON file that `--family` takes."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(parts))
    return path
