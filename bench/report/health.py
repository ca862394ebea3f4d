"""Which scores the health controls flagged, where a report finds records of `bench health`.

They lie in `health/records` below the results (`bench health --out RESULTS/health`), or are the results themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.record import Quantity, Record, read_records
from bench.report.display import display
from bench.report.markdown import escape_markdown

FOLDER = "health"
JUDGE = ("extractor", "extractor_weights", "judge", "judge_weights", "head_weights", "resize")
"""Fields of a protocol that must be equal for a check of one score to speak of another."""


@dataclass(frozen=True)
class Checked:
    """One score of a suite: what it gets wrong, a line each; none where it orders all controls."""

    suite: str
    quantity: str
    title: str
    images: int
    flagged: tuple[str, ...]

    @property
    def text(self) -> str:
        """`Recall is flagged: recall does not put single below duplicates (...)`, or that it orders them."""
        controls = f"the health controls of {self.suite} ({self.images:,} images each)"
        if not self.flagged:
            return f"{self.title} orders {controls}."
        return f"{self.title} is flagged by {controls}: {'; '.join(self.flagged)}."


def health_checks(results: Path, measured: Sequence[Record]) -> list[Checked]:
    """The checks that speak of scores of `measured`, the flagged first.

    A check with other judge weights or another resize than the scores says nothing about them and is left out.

    Raises:
        RecordError: where a record of `bench health` cannot be read.
    """
    found: dict[tuple[str, str], Checked] = {}
    for record in _controls(results):
        for quantity in record.quantities:
            if any(_same_judge(quantity, other) for other in _scores(measured, record.cell.suite, quantity.name)):
                lines = tuple(record.provenance["health"]["flagged"].get(quantity.name, ()))
                title, images = display(quantity).title, record.cell.limit
                found[record.cell.suite, quantity.name] = Checked(
                    record.cell.suite, quantity.name, title, images, lines
                )
    return sorted(found.values(), key=lambda item: (item.suite, not item.flagged, item.quantity))


def health_markdown(checks: Sequence[Checked]) -> list[str]:
    """Lines of a section; none where nothing was checked."""
    if not checks:
        return []
    return ["## Are these scores to be trusted?", "", *(f"- {escape_markdown(item.text)}" for item in checks), ""]


def _controls(results: Path) -> Iterator[Record]:
    """One record a check: every control's says the same about the scores, and `health-real` is always there."""
    for folder in (results / FOLDER / "records", results / "records"):
        if folder.is_dir():
            yield from (item for item in read_records(folder) if item.cell.method == "health-real")


def _scores(measured: Iterable[Record], suite: str, name: str) -> Iterator[Quantity]:
    for record in measured:
        quantity = record.quantity(name) if record.cell.suite == suite else None
        if quantity is not None:
            yield quantity


def _same_judge(one: Quantity, other: Quantity) -> bool:
    return all(one.protocol.get(field) == other.protocol.get(field) for field in JUDGE)
