"""Base's records against head's: what may be compared, cell by cell, and the checks that come of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.gate.identity import environment_differences, recipe_differences
from bench.gate.quality import quality_checks
from bench.gate.verdicts import Check, Verdict, settled
from bench.record import Record
from bench.report.frame import label

_SHOWN = 3  # differences in one line


def record_checks(base: Sequence[Record], head: Sequence[Record], *, expect_better: bool = False) -> list[Check]:
    """The quality of every cell that base has; what cannot be compared has its verdict already.

    A cell that base measured and head cannot is a REGRESSION; one that even base cannot, where head can, says nothing
    and is INCONCLUSIVE; one that neither can is no check.
    """
    others = {_key(record): record for record in head}
    found: list[Check] = []
    for record in base:
        found.extend(_cell_checks(record, others.get(_key(record)), expect_better=expect_better))
    return found


def reported_latencies(base: Sequence[Record], head: Sequence[Record]) -> list[Check]:
    """Latency from the records of both: shown, and not gated, as they were not measured in turn."""
    others = {_key(record): record for record in head}
    return [
        check
        for record in base
        if (other := others.get(_key(record))) is not None and (check := _reported(record, other)) is not None
    ]


def cell_name(record: Record) -> str:
    """`shapes/add-1`."""
    return f"{record.cell.suite}/{label(record.cell)}-{record.cell.num_inference_steps}"


def _key(record: Record) -> tuple[object, ...]:
    cell = record.cell
    return cell.suite, cell.method, cell.num_inference_steps, cell.guidance_scale, cell.family


def _cell_checks(base: Record, head: Record | None, *, expect_better: bool) -> Iterator[Check]:
    name = cell_name(base)
    if head is None:
        yield settled(name, "quality", Verdict.RECIPE_MISMATCH, "measured on the base's side only")
        return
    if base.status != "ok" or head.status != "ok":
        yield from _not_measured(name, base, head)
        return
    if differences := list(recipe_differences(base, head)):
        yield settled(name, "quality", Verdict.RECIPE_MISMATCH, _listed(differences))
        return
    checks = list(quality_checks(name, base, head, expect_better=expect_better))
    if not checks:
        yield settled(name, "quality", Verdict.INCONCLUSIVE, "no score with one number an image on both sides")
        return
    if elsewhere := list(environment_differences(base.provenance, head.provenance)):
        checks = [replace(item, verdict=Verdict.CALIBRATION_NEEDED, note=_listed(elsewhere)) for item in checks]
    yield from checks


def _not_measured(name: str, base: Record, head: Record) -> Iterator[Check]:
    if base.status == "ok":
        yield settled(name, "quality", Verdict.REGRESSION, f"{head.status}: {head.reason}")
    elif head.status == "ok":
        why = f"base {base.status}: {base.reason}; there is nothing to compare with"
        yield settled(name, "quality", Verdict.INCONCLUSIVE, why)


def _listed(differences: Sequence[str]) -> str:
    more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
    return "; ".join(differences[:_SHOWN]) + more


def _reported(base: Record, head: Record) -> Check | None:
    was, now = base.quantity("latency_s"), head.quantity("latency_s")
    if was is None or now is None or not was.value > 0:
        return None
    return Check(
        cell=cell_name(base),
        kind="latency",
        quantity="latency_s",
        title="latency",
        unit="%",
        change=100 * (now.value / was.value - 1),
        low=math.nan,
        high=math.nan,
        margin=math.nan,
        base=1000 * was.value,
        head=1000 * now.value,
        relative=True,
        n=min(was.n, now.n),
        note="not measured in turn with the base, so only reported",
        gated=False,
    )
