"""Figure 11: what truncation does to a GAN, text alignment against distance.

The figure does not say which truncation a point has, so points are not compared one by one. What is, is what the whole
curve does: from its first point (no truncation) to its last, by how much do both scores change, and in which direction?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.published.tables import PublishedRow, counterpart, published
from bench.record import Record
from bench.report.differences import differences
from bench.report.display import display
from bench.report.frame import check_protocols
from bench.report.ledger.find import MINIATURE
from bench.report.ledger.lines import Entry, Line, Part, Shown, change_text, signed
from bench.report.ledger.verdict import Change, by_order, not_comparable

PSI = "truncation_psi"
FOLDER = "truncation"
"""Below the results folder: a results folder for each truncation."""


SCORES = (("fid", "FID", "fd-shapes", "FD-shapes"), ("clip_score", "CLIP score", "clip-shapes", "CLIP-shapes"))
COMMAND = "python -m bench run --methods gan --steps 1 --weights gan=FOLDER --out reports/results/truncation/0.7"


def truncation(record: Record) -> float:
    """The truncation that a GAN's record was sampled with; 1 is none."""
    config = record.provenance.get("recipe", {}).get("scheduler_config", {})
    return float(config.get(PSI, 1.0))


def curve(records: Sequence[Record]) -> tuple[Record, ...]:
    """The records of the GAN trained here with the figure's scores alone, the least truncated first, one a truncation.

    Raises:
        RecordError: where the scores of the figure differ in protocol, naming the field.
    """
    own = [item for item in records if item.status == "ok" and item.cell.suite == MINIATURE]
    gans = [item for item in own if item.cell.method == "gan" and item.cell.images_per_prompt == 1]
    by_psi = {truncation(item): item for item in gans}
    found = tuple(_scores_of(by_psi[psi]) for psi in sorted(by_psi, reverse=True))
    check_protocols(found)
    return found


def _scores_of(record: Record) -> Record:
    """The record with the figure's scores alone: how fast each point was made does not matter to it."""
    shown = {name for *_, name, _ in SCORES}
    return replace(record, quantities=tuple(item for item in record.quantities if item.name in shown))


def figure11(found: Sequence[Record]) -> Entry:
    """The entry of the figure; `found` is our curve."""
    parts = tuple(_part(found, *score) for score in SCORES)
    return Entry(
        "figure11",
        "Figure 11: truncation of GANs",
        "The less a GAN's styles vary, the better its images fit the text and the worse their distribution fits the "
        "real one. What is compared is the whole curve: how both scores change from no truncation to the strongest.",
        parts,
        notes=(
            "The published points are read off the figure; their truncations are not stated.",
            f"Each of our points is a run of a GAN's folder whose `recipe.json` has another `{PSI}`: `{COMMAND}`.",
        ),
    )


def _part(found: Sequence[Record], score: str, title: str, quantity: str, ours: str) -> Part:
    names = dict.fromkeys(row.keys["model"] for row in published("figure11"))
    change = _change(found, quantity)
    lines = [_line(name, score, change, found) for name in names]
    return Part(
        f"figure11-{quantity}", f"Figure 11, {title}", ("Model",), f"{title} along the curve",
        f"{ours} along the curve", tuple(lines), f"does {title} rise or fall as truncation gets stronger?",
    )  # fmt: skip


def _line(model: str, score: str, change: Change | None, found: Sequence[Record]) -> Line:
    points = [row for row in published("figure11") if row.keys["model"] == model]
    first, last = points[0].values[score], points[-1].values[score]
    moved = last.number - first.number
    text = f"{first.text} to {last.text} ({signed(moved, _places(points, score))})"
    known = counterpart("figure11", model)
    if known.method is None:
        return Line((model,), text, Shown(reason=known.reason), not_comparable(known.reason), published_value=moved)
    if change is None:
        reason = "no GAN is measured at two truncations"
        return Line((model,), text, Shown(reason=reason), not_comparable(reason), published_value=moved)
    ours = Shown(change_text(change), "", change.value, found[-1].cell.name)
    verdict = by_order(moved, first.error + last.error, change)
    return Line((model,), text, ours, verdict, published_value=moved)


def _change(found: Sequence[Record], quantity: str) -> Change | None:
    """The last point less the first, image by image."""
    if len(found) < 2 or (base := found[0].quantity(quantity)) is None:
        return None
    for item in differences([(found[-1], found[0])], [display(base)]):
        return Change(item.value, item.low, item.high, item.verdict != "cannot tell")
    return None


def _places(points: Sequence[PublishedRow], score: str) -> int:
    return max(len(row.values[score].text.partition(".")[2]) for row in points)
