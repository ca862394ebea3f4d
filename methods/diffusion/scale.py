"""One spelling of a guidance scale. No torch: recipes and plans are read without it."""

from __future__ import annotations

import math

NO_GUIDANCE = 1.0


def normalise(guidance_scale: float) -> float:
    """One number for each meaning: stock pipelines guide above 1.0 only, so 0.0 and 1.0 are both 1.0.

    Raises:
        ValueError: for a negative scale or one that is not finite.
    """
    if not math.isfinite(guidance_scale) or guidance_scale < 0:
        raise ValueError(f"guidance_scale must be a finite number of 0 or more, got {guidance_scale}")
    return max(float(guidance_scale), NO_GUIDANCE)
