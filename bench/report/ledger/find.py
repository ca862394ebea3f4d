"""The records that answer to a published row: in the embedded suite, and at full size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.published.tables import Counterpart, counterpart
from bench.record import Cell, Record
from bench.report.frame import Group, steps_text
from bench.report.ledger.lines import Shown
from bench.report.ledger.verdict import NOT_MEASURED
from bench.report.tables import NO_REASON

MINIATURE = "shapes"
"""The suite on which every method learned from the same teacher under the same budget."""


@dataclass(frozen=True)
class Found:
    """The record of a published row, or the reason why there is none. `missing` is what a run would give."""

    record: Record | None
    reason: str = ""
    missing: tuple[str, int] | None = None

    @property
    def dash(self) -> Shown:
        """What stands in place of a value."""
        return Shown(reason=self.reason)


def miniature(groups: Sequence[Group]) -> Group | None:
    """The largest group of the embedded suite with one image a prompt; others are not mixed in.

    `groups` come the largest first.
    """
    fitting = (group for group in groups if group.key.suite == MINIATURE and group.key.images_per_prompt == 1)
    return next(fitting, None)


def look(group: Group | None, method: str, steps: int) -> Found:
    """The cell of `method` at `steps` with the method's own guidance."""
    cells = () if group is None else (*group.measured, *group.missing)
    record = next((record for record in cells if _is(record.cell, method, steps)), None)
    if record is None:
        return Found(None, NOT_MEASURED, (method, steps))
    if record.status != "ok":
        return Found(None, f"{record.status}: {record.reason or NO_REASON}", (method, steps))
    return Found(record)


def answer(group: Group | None, where: str, model: str, steps: str) -> Found:
    """The record in the embedded suite that answers to a published model at a step count."""
    known = counterpart(where, model, steps)
    if known.method is None or known.steps is None:
        return Found(None, known.reason)
    return look(group, known.method, known.steps)


def full_size(
    groups: Sequence[Group], known: Counterpart, suites: Sequence[str] = (), device: str | None = None
) -> Record | None:
    """The record of the released checkpoint that answers to a published model, on one of the suites and the device.

    Any suite or device will do where none is named.
    """
    if known.full_method is None or known.full_family is None or known.steps is None:
        return None
    for group in groups:
        if (not suites or group.key.suite in suites) and device in (None, group.key.device):
            for record in group.measured:
                cell = record.cell
                if cell.family == known.full_family and _is(cell, known.full_method, known.steps, full=True):
                    return record
    return None


def name(record: Record) -> str:
    """`add at 1 step`."""
    return f"{record.cell.method} at {steps_text(record.cell.num_inference_steps)}"


def _is(cell: Cell, method: str, steps: int, *, full: bool = False) -> bool:
    own = cell.guidance_scale is None and not cell.off_recipe and (full or cell.family is None)
    return own and cell.method == method and cell.num_inference_steps == steps
