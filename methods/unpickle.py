"""Run as a program: `python -I unpickle.py IN OUT` reads a pickle of tensors and writes them as safetensors.

`weights_only=True` lets torch build tensors and plain containers and nothing else, so that no code in the file runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import torch
from safetensors.torch import save_file


def tensors_of(data: object) -> dict[str, torch.Tensor]:
    """The named tensors of a state dict, which may lie under "state_dict".

    Raises:
        ValueError: where there is anything else in it.
    """
    if isinstance(data, Mapping) and isinstance(data.get("state_dict"), Mapping):
        data = data["state_dict"]
    if not isinstance(data, Mapping) or not data:
        raise ValueError(f"expected named tensors, found {type(data).__name__}")
    wrong = [name for name, value in data.items() if not isinstance(name, str) or not isinstance(value, torch.Tensor)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is a {type(data[wrong[0]]).__name__}, not a tensor")
    return {name: value.detach().contiguous().clone() for name, value in data.items()}


def main() -> int:
    """Convert; one line on stderr where that is not possible."""
    source, target = sys.argv[1:]
    try:
        data = torch.load(source, map_location="cpu", weights_only=True)
        save_file(tensors_of(data), target, {"format": "pt"})
    except Exception as error:
        sys.stderr.write(next(iter(str(error).strip().splitlines()), type(error).__name__) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
