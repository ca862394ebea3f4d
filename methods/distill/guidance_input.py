"""A student that is told its guidance: the teacher's UNet with one input more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import UNet2DConditionModel
from torch import nn


def with_guidance_input(unet: UNet2DConditionModel, width: int) -> UNet2DConditionModel:
    """A copy of `unet` with an input for a guidance scale embedded in `width` numbers; it starts without effect."""
    student = UNet2DConditionModel.from_config(guidance_input_config(unet.config, width))
    student.load_state_dict(unet.state_dict(), strict=False)
    nn.init.zeros_(student.time_embedding.cond_proj.weight)
    return student


def guidance_input_config(config: Mapping[str, Any], width: int) -> dict[str, Any]:
    """A UNet's config with that input."""
    # diffusers would replace what this names by its defaults
    given = {name: value for name, value in config.items() if name != "_use_default_values"}
    return {**given, "time_cond_proj_dim": width}
