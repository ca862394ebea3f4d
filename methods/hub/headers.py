"""What a safetensors file says about itself: names, types and shapes of its tensors. Read without torch.

The format: eight bytes with the length of the header, the header as JSON, then the data of all tensors without gaps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from methods.errors import WeightsError
from methods.hub.hashes import hash_file
from methods.jsonfile import parse_json

BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
    "U16": 2, "U32": 4, "U64": 8, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
PLAIN_FLOATS = ("F64", "F32", "F16", "BF16")
_LONGEST_HEADER = 100 * 2**20


@dataclass(frozen=True)
class TensorHeader:
    """One tensor: `dtype` in the format's own spelling, such as "F16"."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def is_float(self) -> bool:
        return self.dtype in PLAIN_FLOATS

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def read_header(path: Path) -> Mapping[str, TensorHeader]:
    """The tensors of a safetensors file, by name; the file is as long as its header says.

    Raises:
        WeightsError: where it is truncated, damaged, or no such file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _damaged(path, str(error.strerror)) from error
    return _read(path, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


@lru_cache(maxsize=64)
def _read(path: Path, _status: tuple[int, ...]) -> Mapping[str, TensorHeader]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _LONGEST_HEADER:
                raise _damaged(path, "no header of safetensors")
            text = file.read(length)
        if len(text) < length:
            raise _damaged(path, "it ends inside its header")
        entries = parse_json(text.decode("utf-8"))
        tensors = {name: _tensor(value) for name, value in entries.items() if name != "__metadata__"}
        end = max((int(value["data_offsets"][1]) for name, value in entries.items() if name in tensors), default=0)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    found, due = path.stat().st_size, 8 + length + end
    if found != due:
        raise _damaged(path, f"{found:,} bytes, of which the header announces {due:,}")
    return MappingProxyType(tensors)


def _tensor(value: Mapping[str, Any]) -> TensorHeader:
    return TensorHeader(str(value["dtype"]), tuple(int(size) for size in value["shape"]))


def _damaged(path: Path, reason: str) -> WeightsError:
    digest = f", sha256 {hash_file(path)}" if path.is_file() else ""
    return WeightsError(f"{path}: damaged ({reason}){digest}; get or train it again")
