"""Schedulers of published samplers that diffusers does not have, by the name that a recipe gives them."""

from __future__ import annotations

from collections.abc import Mapping

OWN: Mapping[str, str] = {
    "TurboDemoScheduler": "methods.schedulers.turbo",
    "RectifiedFlowScheduler": "methods.schedulers.rectified_flow",
    "PeRFlowScheduler": "methods.schedulers.perflow",
}
"""Class name -> module."""
