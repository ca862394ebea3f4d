"""Long lists of numbers inside a JSON record: a fifth of the size, and exactly the same numbers again.

A metric rounds the number of each image to six significant digits, so a value is a whole number of a power of ten. The
digits and the powers are stored as planes of bytes (all lowest bytes first, then the next), deflated (RFC 1951), in
base85. Where a list has numbers of more digits, the planes are those of its IEEE 754 doubles. Short lists stay as they
are, and lists are read wherever columns are.

| field | meaning |
|---|---|
| `n` | how many numbers |
| `form` | `decimal`: int32 digits, int8 powers of ten; `double`: float64 |
| `packed` | base85 of the deflated planes, little-endian |
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHORTEST = 64
"""Fewest numbers that are packed; shorter lists stay readable."""

_MOST_DIGITS = 2**31 - 1  # int32
_EXACT_POWER = 22  # 10 ** 22 is the last power of ten that a double holds exactly


def pack(values: Sequence[float]) -> dict[str, Any] | list[float]:
    """`values` as JSON data: {"n", "form", "packed"}, or the list itself where it is short."""
    if len(values) < SHORTEST:
        return list(values)
    found = [("decimal", planes) for planes in _decimals(values)]
    doubles = np.asarray(values, dtype="<f8")
    found.append(("double", _planes(doubles)))
    form, data = min(((form, zlib.compress(planes, 9)) for form, planes in found), key=lambda item: len(item[1]))
    return {"n": len(values), "form": form, "packed": base64.b85encode(data).decode("ascii")}


def unpack(data: Any) -> tuple[float, ...]:
    """The numbers that `pack` was given; a list is given back as it is.

    Raises:
        ValueError: where `data` is neither, or is damaged.
    """
    if isinstance(data, list):
        return tuple(data)
    if not isinstance(data, dict) or set(data) != {"n", "form", "packed"}:
        raise ValueError("a list of numbers is neither a list nor packed")
    n, form = data["n"], data["form"]
    size = {"decimal": 5, "double": 8}.get(form, 0)
    if type(n) is not int or n < 0 or size == 0:
        raise ValueError(f"{n!r} numbers packed as {form!r}")
    planes = _inflate(data["packed"], n * size)
    values = _from_decimals(planes, n) if form == "decimal" else _unplanes(planes, "<f8")
    if not np.isfinite(values).all():
        raise ValueError("packed numbers are not finite")
    return tuple(values.tolist())


def _inflate(text: str, size: int) -> bytes:
    """Exactly `size` bytes; never more than that is inflated, whatever the text claims."""
    try:
        inflater = zlib.decompressobj()
        found = inflater.decompress(base64.b85decode(text), size + 1)
    except zlib.error as error:
        raise ValueError(f"packed numbers are damaged: {error}") from error
    if len(found) != size:
        raise ValueError("packed numbers are cut short or too many")
    return found


def _decimals(values: Sequence[float]) -> list[bytes]:
    """The planes with a power for each number, and with one power for all, where those are exact."""
    split = [_digits(value) for value in values]
    lowest = min((power for digits, power in split if digits), default=0)
    one = [(digits * 10 ** (power - lowest), lowest) if digits else (0, lowest) for digits, power in split]
    found = []
    for pairs in (split, one):
        if any(abs(digits) > _MOST_DIGITS or abs(power) > _EXACT_POWER for digits, power in pairs):
            continue
        planes = _planes(np.array([digits for digits, _ in pairs], dtype="<i4"))
        planes += np.array([power for _, power in pairs], dtype="i1").tobytes()
        if _from_decimals(planes, len(pairs)).tolist() == list(values):
            found.append(planes)
    return found


def _digits(value: float) -> tuple[int, int]:
    """(digits, power) with `value` = digits x 10 ** power, the digits without trailing zeros; (0, 0) for nothing."""
    sign, digits, power = Decimal(repr(float(value))).normalize().as_tuple()
    assert isinstance(power, int)  # a record holds no infinity
    whole = int("".join(map(str, digits)))
    return (-whole if sign else whole), power


def _from_decimals(planes: bytes, n: int) -> NDArray[np.float64]:
    """digits x 10 ** power: both factors are exact in a double, so one rounding gives what the text would."""
    digits = _unplanes(planes[: 4 * n], "<i4").astype(np.float64)
    powers = np.frombuffer(planes[4 * n :], dtype="i1")
    scale = 10.0 ** np.abs(powers).astype(np.float64)
    values: NDArray[np.float64] = np.where(powers < 0, digits / scale, digits * scale)
    return values


def _planes(values: NDArray[Any]) -> bytes:
    return values.view(np.uint8).reshape(len(values), -1).T.tobytes()


def _unplanes(planes: bytes, dtype: str) -> NDArray[Any]:
    """The numbers of those planes."""
    size = np.dtype(dtype).itemsize
    return np.ascontiguousarray(np.frombuffer(planes, dtype=np.uint8).reshape(size, -1).T).view(dtype).reshape(-1)
