"""Registered architectures: the public configurations of SD 1.5, SD 2.1 and SDXL as JSON. Reading them needs no torch.

Latency does not depend on weights, so an architecture at full size can be timed on a machine that has none. A
configuration holds what the checkpoint's own `config.json` files hold, a part each: `unet`, `vae`, `text_encoder`,
`text_encoder_2` (SDXL alone), `scheduler`, and the length that prompts are padded to.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from methods.errors import UsageError
from methods.jsonfile import read_json

FOLDER = Path(__file__).parent
PARTS = ("unet", "vae", "text_encoder", "scheduler", "max_tokens", "pipeline")


@dataclass(frozen=True)
class Architecture:
    """One configuration. `parts` is the JSON object; its `pipeline` is the stock diffusers class that samples it."""

    name: str
    parts: Mapping[str, Any]

    @cached_property
    def sha256(self) -> str:
        """Hash of the configuration's content, layout of the file aside."""
        return hashlib.sha256(json.dumps(self.parts, sort_keys=True).encode()).hexdigest()

    @property
    def image_size(self) -> int:
        """Pixels a side that the checkpoint makes by itself."""
        halvings = len(self.parts["vae"]["block_out_channels"]) - 1
        return int(self.parts["unet"]["sample_size"]) << halvings


def names() -> tuple[str, ...]:
    """The registered architectures, in alphabetical order."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def load(name: str) -> Architecture:
    """The architecture of that name, or the one in a JSON file of the same form.

    Raises:
        UsageError: where there is none, or the file is not of that form.
    """
    registered = FOLDER / f"{name}.json"
    path = registered if name in names() else Path(name)
    if path is not registered and path.suffix != ".json":
        near = difflib.get_close_matches(name.lower(), names(), n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"--family {name!r} is not one of {', '.join(names())}, nor a .json file{hint}")
    try:
        parts = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--family {name}: cannot be read as JSON ({error})") from error
    missing = [part for part in PARTS if not isinstance(parts, dict) or part not in parts]
    if missing:
        raise UsageError(f"--family {name}: {missing[0]!r} is missing; {registered_example()} has all that is needed")
    return Architecture(path.stem, parts)


def registered_example() -> str:
    """Where a user finds a configuration to copy."""
    return "bench/architectures/sdxl.json"
