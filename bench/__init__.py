"""A benchmark for few-step text-to-image methods. In a notebook: `from bench import evaluate`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import evaluate
    from bench.wrap import ImageFunction

__all__ = ["ImageFunction", "evaluate"]

_HOMES = {"ImageFunction": "bench.wrap", "evaluate": "bench.api"}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import bench` alone brings no torch."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
