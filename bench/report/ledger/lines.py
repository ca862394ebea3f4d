"""What the ledger consists of: entries (a table or figure of the paper), their parts, and lines with a verdict each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.published.tables import Published
from bench.record import Quantity, Record
from bench.report.display import digits_of, number
from bench.report.ledger.verdict import Change, Verdict


@dataclass(frozen=True)
class Shown:
    """A value of ours as text and as numbers; where there is none, a dash, and `reason` says why.

    `record` is the cell's name, `best` marks what beats every other of its table beyond what chance explains.
    """

    text: str = "–"
    interval: str = ""
    sort: float | None = None
    record: str | None = None
    reason: str = ""
    best: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def whole(self) -> str:
        """Value and interval in one."""
        return f"{self.text} {self.interval}".rstrip()


@dataclass(frozen=True)
class Line:
    """One published value beside ours. `heads` say what it is of; the differences are against the part's reference.

    `note` is about the published value and stands under the table, `detail` about ours and stands with the verdict.
    """

    heads: tuple[str, ...]
    published: str
    ours: Shown
    verdict: Verdict
    published_difference: str = ""
    difference: str = ""
    published_value: float | None = None
    note: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Part:
    """A table: one score of an entry. `compared` says in words what the verdict of its lines is about."""

    slug: str
    title: str
    heads: tuple[str, ...]
    published: str
    ours: str
    lines: tuple[Line, ...]
    compared: str
    difference: str = "Difference"

    @property
    def notes(self) -> list[str]:
        """`Progressive Distillation, 1; InstaFlow-0.9B, 1: what is to be known of their published values.`"""
        told: dict[str, list[str]] = {}
        for line in self.lines:
            if line.note:
                told.setdefault(line.note, []).append(", ".join(line.heads))
        return [f"{'; '.join(rows)}: {note}." for note, rows in told.items()]

    @property
    def has_differences(self) -> bool:
        """Whether any line is held against a reference."""
        return any(line.published_difference or line.difference for line in self.lines)


@dataclass(frozen=True)
class Picture:
    """A figure of an entry: its files' stem, their bytes by kind, and what one sees in words."""

    stem: str
    data: Mapping[str, bytes]
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Entry:
    """A table or figure of the paper. `command` gives what is missing; `verdict` stands for one without lines."""

    slug: str
    title: str
    lead: str
    parts: tuple[Part, ...] = ()
    pictures: tuple[Picture, ...] = ()
    command: str = ""
    verdict: Verdict | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def lines(self) -> list[Line]:
        """All lines of all parts."""
        return [line for part in self.parts for line in part.lines]

    @property
    def verdicts(self) -> list[Verdict]:
        """Every verdict given."""
        return [line.verdict for line in self.lines] or ([self.verdict] if self.verdict is not None else [])

    @property
    def counted(self) -> Counter[str]:
        """How many verdicts of each kind."""
        return Counter(verdict.kind for verdict in self.verdicts)


def shown(quantity: Quantity, record: Record, factor: float = 1.0) -> Shown:
    """The value with two significant digits of its half-width, in its unit times `factor`."""
    places = digits_of((quantity.ci_high - quantity.ci_low) / 2 * factor)
    ends = (quantity.ci_low * factor, quantity.ci_high * factor)
    return valued(quantity.value * factor, *ends, places, record)


def valued(value: float, low: float, high: float, places: int, record: Record) -> Shown:
    """A value with its interval, `places` digits after the point."""
    return Shown(number(value, places), bracketed(low, high, places), value, record.cell.name, low=low, high=high)


def bracketed(low: float, high: float, places: int) -> str:
    """`[low, high]`, or nothing where both are the same."""
    return "" if low == high else f"[{number(low, places)}, {number(high, places)}]"


def signed(value: float, places: int) -> str:
    """With its sign, plus too."""
    text = number(value, places)
    return text if text.startswith("-") or float(text.replace(",", "")) == 0 else f"+{text}"


def change_text(change: Change) -> str:
    """`+0.8 [0.3, 1.2]`, two significant digits of the half-width."""
    places = digits_of((change.high - change.low) / 2)
    return f"{signed(change.value, places)} {bracketed(change.low, change.high, places)}".rstrip()


def published_change(value: Published, reference: Published) -> str:
    """The difference of two published values with the digits of the finer one."""
    places = max(_places(value.text), _places(reference.text))
    return signed(value.number - reference.number, places)


def counts(entries: Iterable[Entry]) -> Counter[str]:
    """Verdicts of several entries together."""
    return sum((entry.counted for entry in entries), Counter())


def reasons(lines: Sequence[Line]) -> list[str]:
    """The reasons of the lines that are not comparable, each once, in order."""
    return list(dict.fromkeys(line.verdict.reason for line in lines if line.verdict.kind == "not comparable"))


def _places(text: str) -> int:
    return len(text.partition(".")[2])
