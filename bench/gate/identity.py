"""May two records be compared at all? What their recipes, protocols and environments differ in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bench.record import Record
from bench.report.frame import differing_fields

_MACHINE = ("cpu", "gpu", "cores", "threads", "platform")
_OWN_VERSION = "fewstep-bench"  # what is being gated
_COSTS = ("s", "bytes", "images/s", "J", "FLOP", "FLOP/s")


def recipe_differences(base: Record, head: Record) -> Iterator[str]:
    """What was asked for, recipes and protocols of scores: a line each of `field: was, is`."""
    yield from _compared("cell", asdict(base.cell), asdict(head.cell))
    yield from _compared("recipe", _of(base, "recipe"), _of(head, "recipe"))
    for quantity in base.quantities:
        if quantity.unit in _COSTS:
            continue
        other = head.quantity(quantity.name)
        if other is None:
            yield f"{quantity.name}: measured, not measured"
            continue
        for field, was, now in differing_fields(quantity, other):
            yield f"{quantity.name} {field}: {was!r}, {now!r}"
        if quantity.name == "nfe" and quantity.value != other.value:
            yield f"denoiser evaluations an image: {quantity.value:g}, {other.value:g}"


def environment_differences(base: Mapping[str, Any], head: Mapping[str, Any]) -> Iterator[str]:
    """Machine, versions and numerics of two provenances: a line each of `field: was, is`."""
    machines = [{name: _mapping(side, "machine").get(name) for name in _MACHINE} for side in (base, head)]
    yield from _compared("machine", *machines)
    versions = [
        {name: version for name, version in _mapping(side, "versions").items() if name != _OWN_VERSION}
        for side in (base, head)
    ]
    yield from _compared("version", *versions)
    yield from _compared("numerics", _mapping(base, "numerics"), _mapping(head, "numerics"))


def _of(record: Record, name: str) -> Mapping[str, Any]:
    return _mapping(record.provenance, name)


def _mapping(provenance: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = provenance.get(name)
    return found if isinstance(found, Mapping) else {}


def _compared(what: str, base: Mapping[str, Any], head: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*base, *head}):
        was, now = base.get(name), head.get(name)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _compared(f"{what} {name}", was, now)
        elif was != now:
            yield f"{what} {name}: {was!r}, {now!r}"
