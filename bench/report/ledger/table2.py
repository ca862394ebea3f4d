"""Table 2: other distillation methods. In miniature each row's order against ADD; at full size its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.published.tables import PublishedRow, counterpart, published, rule
from bench.record import Record
from bench.report.best import beats
from bench.report.frame import Group
from bench.report.ledger.find import Found, answer, full_size, miniature
from bench.report.ledger.lines import Entry, Line, Part, Shown, change_text, published_change, shown
from bench.report.ledger.order import changes
from bench.report.ledger.verdict import Change, Verdict, by_order, by_value, not_comparable

REFERENCE = "ADD-M"
COCO = ("coco2017-5k",)
FULL_SIZE = "python -m bench run --suite coco2017-5k --coco FOLDER --family sd15 --methods sd15-dpm --steps 8,25"
IS_REFERENCE = "other images and other judges; the other rows are held against it"


@dataclass(frozen=True)
class Score:
    """A column of the table, what answers to it in miniature and at full size, and the paper's name for it."""

    published: str
    title: str
    ours: str
    ours_title: str
    full: str | None


SCORES = (
    Score("fid", "FID ↓", "fd-shapes", "FD-shapes ↓", "fid"),
    Score("clip_score", "CLIP score ↑", "clip-shapes", "CLIP-shapes ↑", "clip-score"),
    Score("time_s", "Time (s) ↓", "latency_s", "Latency (s) ↓", None),
)


def table2(groups: Sequence[Group]) -> Entry:
    """The entry of Table 2."""
    group, rows = miniature(groups), published("table2")
    found = {_key(row): answer(group, "table2", *_key(row)) for row in rows}
    parts = [_part(rows, found, score) for score in SCORES]
    parts += [part for score in SCORES if (part := _full(groups, rows, score)) is not None]
    return Entry(
        "table2",
        "Table 2: distillation methods",
        "The paper's values are of Stable Diffusion 1.5 on COCO, ours of the embedded suite, where every method "
        "learned from the same teacher: the values are not comparable. What is, is the order: is a row better or worse "
        f"than {REFERENCE}, as in the paper?",
        tuple(parts),
        command="python -m bench reproduce table2",
        notes=(
            f"Rows that released checkpoints answer to are compared by value once they are measured: `{FULL_SIZE}`.",
        ),
    )


def _part(rows: Sequence[PublishedRow], found: dict[tuple[str, str], Found], score: Score) -> Part:
    reference = next(row for row in rows if row.keys["method"] == REFERENCE)
    base = found[_key(reference)].record
    records = [item.record for item in found.values() if item.record is not None]
    moved = changes(records, base, score.ours)
    lines = [_line(row, reference, found[_key(row)], base, score, moved) for row in rows]
    lines = marked(lines, records, score.ours)
    compared = f"order against {REFERENCE}: is a row better or worse on {score.title.rstrip(' ↓↑')}?"
    return Part(
        f"table2-{score.ours}", f"Table 2, {score.title.rstrip(' ↓↑')}", ("Method", "Steps"), score.title,
        score.ours_title, tuple(lines), compared, f"less {REFERENCE}",
    )  # fmt: skip


def _line(
    row: PublishedRow,
    reference: PublishedRow,
    found: Found,
    base: Record | None,
    score: Score,
    moved: dict[str, Change],
) -> Line:
    value, against = row.values[score.published], reference.values[score.published]
    ours = value_of(found, score.ours)
    if row is reference:
        verdict = not_comparable(IS_REFERENCE if found.record else found.reason)
        return Line(_key(row), value.shown, ours, verdict, published_value=value.number, note=row.note)
    change = moved.get(found.record.cell.name) if found.record is not None else None
    return Line(
        _key(row), value.shown, ours, _order(found, base, change, value.number - against.number, score),
        published_change(value, against), "" if change is None else change_text(change), value.number, row.note,
    )  # fmt: skip


def marked(lines: Sequence[Line], records: Sequence[Record], quantity: str) -> list[Line]:
    """The lines with the best value of a table marked, where it beats every other beyond what chance explains."""
    having = [record for record in records if record.quantity(quantity) is not None]
    best = {
        record.cell.name for record in having
        if len(having) > 1 and all(beats(record, other, quantity) for other in having if other is not record)
    }  # fmt: skip
    return [replace(line, ours=replace(line.ours, best=line.ours.record in best)) for line in lines]


def _order(found: Found, base: Record | None, change: Change | None, published_delta: float, score: Score) -> Verdict:
    if found.record is None:
        return not_comparable(found.reason)
    if base is None:
        return not_comparable(f"{REFERENCE} is not measured here, so there is nothing to hold it against")
    if change is None:
        return not_comparable(f"{score.ours} was not measured in both")
    return by_order(published_delta, rule(f"{score.published}_tie"), change)


def value_of(found: Found, quantity: str) -> Shown:
    """The value of a found record, or a dash with the reason."""
    if found.record is None:
        return found.dash
    own = found.record.quantity(quantity)
    if own is None:
        return Shown(reason=f"the record has no {quantity}", record=found.record.cell.name)
    return shown(own, found.record)


def _full(groups: Sequence[Group], rows: Sequence[PublishedRow], score: Score) -> Part | None:
    """The rows that a released checkpoint of the same model was measured for, on COCO."""
    lines = []
    for row in rows:
        record = full_size(groups, counterpart("table2", *_key(row)), COCO)
        quantity = record.quantity(score.full) if record is not None and score.full is not None else None
        if record is None or quantity is None:
            continue
        factor = 0.01 if score.full == "clip-score" and quantity.value > 1 else 1.0  # ours is 100 times the cosine
        value = row.values[score.published]
        ends = (quantity.value * factor, quantity.ci_low * factor, quantity.ci_high * factor)
        verdict = by_value(value.number, value.error, *ends)
        lines.append(Line(_key(row), value.shown, shown(quantity, record, factor), verdict, note=row.note))
    if not lines:
        return None
    title = f"Table 2 at full size, {score.title.rstrip(' ↓↑')}"
    return Part(
        f"table2-full-{score.published}", title, ("Method", "Steps"), score.title, f"Ours, {score.title}",
        tuple(lines), "the value, on 5,000 images of COCO 2017",
    )  # fmt: skip


def _key(row: PublishedRow) -> tuple[str, str]:
    return row.keys["method"], row.keys["num_inference_steps"]
