"""A program of its own: read a whole pipeline in one file by diffusers, and write its networks as safetensors.

`python -I unfold.py FILE BASE FOLDER`: BASE is a pipeline folder, whose configurations say how FILE is read. The last
line on standard error says what is wrong. It is a process of its own since the memory that it takes, two copies of
everything, is given back when it ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.utils import logging

STORED = {"F16": torch.float16, "BF16": torch.bfloat16}


def unfold(path: Path, base: Path, folder: Path, stored: str, left_out: list[str]) -> None:
    """Write the networks in `path`, in the type it holds them in, into the parts of `folder`.

    Raises:
        ValueError: where it holds no such pipeline, or not all of one.
    """
    name = json.loads((base / "model_index.json").read_text(encoding="utf-8")).get("_class_name")
    kind: Any = getattr(diffusers, str(name), None)
    if not hasattr(kind, "from_single_file"):
        raise ValueError(f"diffusers reads no single file into a {name}")
    pipe: Any = kind.from_single_file(
        str(path),
        config=str(base),
        local_files_only=True,
        torch_dtype=STORED.get(stored, torch.float32),
        **dict.fromkeys(left_out),
    )
    networks: dict[str, Any] = {
        part: network for part, network in pipe.components.items() if isinstance(network, torch.nn.Module)
    }
    for part, network in networks.items():
        network.save_pretrained(folder / part, safe_serialization=True)


def main(arguments: list[str]) -> int:
    """0, or 1 with the reason on standard error."""
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    path, base, folder, stored, *left_out = arguments
    try:
        unfold(Path(path), Path(base), Path(folder), stored, left_out)
    except NotImplementedError:  # torch's, at a tensor that was never filled
        sys.stderr.write("a network lacks some of its tensors\n")
        return 1
    except Exception as error:  # whatever a library finds wrong with a stranger's file
        sys.stderr.write(next(iter(str(error).strip().splitlines()), type(error).__name__) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
