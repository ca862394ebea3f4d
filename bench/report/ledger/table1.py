"""Table 1: ablations of ADD, each row's change against the default of its panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.published.tables import PublishedRow, published, rule
from bench.report.ledger.lines import Entry, Line, Part, Shown, change_text, published_change
from bench.report.ledger.verdict import NOT_MEASURED, Change, by_order, not_comparable

IS_DEFAULT = "other images and other judges; the other rows of the panel are held against it"
AS_DEFAULT = "trained as the default here, so there is nothing to tell"
COMMAND = "python -m bench ablate"
SCORES = (("fid", "FID ↓", "fd-shapes", "FD-shapes ↓"), ("clip_score", "CLIP score ↑", "clip-shapes", "CLIP-shapes ↑"))


@dataclass(frozen=True)
class Ablated:
    """A row of ours: by quantity its value over training seeds and images, and its change against the default.

    `reason` says why there is none. `ours` says in words what stands in for the paper's setting, where it is not it.
    """

    values: Mapping[str, Shown]
    changes: Mapping[str, Change]
    reason: str = NOT_MEASURED
    ours: str = ""


def table1(ours: Mapping[tuple[str, str], Ablated]) -> Entry:
    """The entry of the table, from our rows by (panel, setting); what is not among them is a dash."""
    rows = published("table1")
    panels = list(dict.fromkeys(row.keys["panel"] for row in rows))
    parts = [
        _part([row for row in rows if row.keys["panel"] == panel], ours, *score) for panel in panels for score in SCORES
    ]
    return Entry(
        "table1",
        "Table 1: what ADD is made of",
        "Ablations of ADD at one step. The paper's are of Stable Diffusion 2.1 on COCO, ours short trainings on the "
        "embedded suite from several seeds, so values are not comparable. What is, is the order: is a setting better "
        "or worse than the default of its panel, as in the paper? Intervals are over training seeds and images.",
        tuple(parts),
        command=COMMAND,
        notes=(
            f"The paper prints one training a row and no intervals. A difference of at most {rule('fid_tie'):g} in FID "
            f"or {rule('clip_score_tie'):g} in CLIP score is read as none: so large are those of panel (f), of which "
            "the paper says that one teacher step is enough.",
        ),
    )


def _part(
    rows: Sequence[PublishedRow],
    ours: Mapping[tuple[str, str], Ablated],
    score: str,
    title: str,
    quantity: str,
    own: str,
) -> Part:
    panel, factor = rows[0].keys["panel"], rows[0].keys["factor"]
    default = next(row for row in rows if row.keys["default"] == "1")
    lines = tuple(_line(row, default, ours.get((panel, row.keys["setting"])), score, quantity) for row in rows)
    return Part(
        f"table1{panel}-{quantity}", f"Table 1({panel}) {factor}, {title.rstrip(' ↓↑')}", (factor.capitalize(),), title,
        own, lines, f"order against the default ({default.keys['setting']})", "less the default",
    )  # fmt: skip


def _line(row: PublishedRow, default: PublishedRow, own: Ablated | None, score: str, quantity: str) -> Line:
    heads, value = (row.keys["setting"],), row.values[score]
    here = None if own is None else own.values.get(quantity)
    if own is None or here is None:
        reason = NOT_MEASURED if own is None else own.reason
        return Line(heads, value.shown, Shown(reason=reason), not_comparable(reason), published_value=value.number)
    if row is default:
        return Line(heads, value.shown, here, not_comparable(IS_DEFAULT), published_value=value.number, detail=own.ours)
    change = own.changes.get(quantity)
    if change is None:
        return Line(heads, value.shown, here, not_comparable(AS_DEFAULT),
                    published_value=value.number, detail=own.ours)  # fmt: skip
    verdict = by_order(value.number - default.values[score].number, rule(f"{score}_tie"), change)
    against = published_change(value, default.values[score])
    return Line(heads, value.shown, here, verdict, against, change_text(change), value.number, "", own.ours)
