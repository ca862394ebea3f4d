"""What a record must be before anything is done with it: its names become file names, its numbers are drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.record import Cell, Record

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f/\\.\s][^\x00-\x1f\x7f-\x9f/\\]{0,127}")
_SHARE = re.compile(r"[0-9]{1,4}/[0-9]{1,4}")
_STATUS = ("ok", "failed", "unsupported")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float | None": (float, int, type(None)),
    "int | None": (int, type(None)),
    "str | None": (str, type(None)),
}
_MOST = 10**9


def check_record(record: Record) -> None:
    """Look at every value.

    Raises:
        ValueError: naming the field that is of another type, not finite, or no name.
    """
    _check_cell(record.cell)
    _need(record.status in _STATUS, "status", record.status)
    _need(record.reason is None or isinstance(record.reason, str), "reason", record.reason)
    for quantity in record.quantities:
        _check_quantity(quantity)
    for part in (record.per_image, record.samples):
        for name, values in part.items():
            _check_name("quantity", name)
            _need(all(map(_is_number, values)), name, "a value that is no finite number")
    _need(all(type(cluster) is int for cluster in record.clusters), "clusters", "a value that is no whole number")
    _need(isinstance(record.provenance, Mapping), "provenance", record.provenance)


def _check_cell(cell: Cell) -> None:
    for item in fields(cell):
        value = getattr(cell, item.name)
        allowed = _TYPES[str(item.type)]
        _need(type(value) in allowed, item.name, value)
        if item.name == "snapshot":
            _need(value is None or bool(_SHARE.fullmatch(value)), item.name, value)
        elif isinstance(value, str):
            _check_name(item.name, value)
        elif value is not None and value is not True and value is not False:
            _need(_is_number(value) and abs(value) <= 2**63, item.name, value)
    for name in ("num_inference_steps", "limit", "batch_size", "images_per_prompt"):  # a control has no steps
        least = 0 if name == "num_inference_steps" else 1
        _need(least <= getattr(cell, name) <= _MOST, name, getattr(cell, name))


def _check_quantity(quantity: Any) -> None:
    _check_name("quantity", quantity.name)
    for name in ("value", "ci_low", "ci_high"):
        _need(_is_number(getattr(quantity, name)), name, getattr(quantity, name))
    _need(type(quantity.n) is int and 0 <= quantity.n <= _MOST, "n", quantity.n)
    _need(type(quantity.higher_is_better) is bool, "higher_is_better", quantity.higher_is_better)
    _check_scalars("protocol", quantity.protocol)
    _check_scalars("parts", quantity.parts)
    _check_scalars("unit", {"unit": quantity.unit})
    _need(len(quantity.unit) <= 32, "unit", quantity.unit)


def _check_scalars(name: str, values: Any) -> None:
    _need(isinstance(values, Mapping), name, values)
    for value in values.values():
        _need(isinstance(value, str | bool) or _is_number(value), name, value)


def _check_name(field: str, value: object) -> None:
    _need(isinstance(value, str) and _NAME.fullmatch(value) is not None, field, value)


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _need(holds: bool, field: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{field} is {str(value)[:60]!r}")
