"""Figures 1, 3, 4 and 8: images, the same prompts and seeds across methods and steps. Figure 2 is a diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.grids import grids
from bench.report.ledger.lines import Entry, Picture
from bench.report.ledger.verdict import not_comparable
from bench.report.sheets import Sheet, StoredPrompt

IMAGES = "other prompts on another model; images are to be looked at, not compared by a number"


@dataclass(frozen=True)
class Gallery:
    """One of the paper's figures of images: which cells it shows, in rows."""

    number: str
    title: str
    lead: str
    rows: tuple[tuple[str, int], ...]


GALLERIES = (
    Gallery("1", "images in one step", "Samples of ADD with a single evaluation of its network.", (("add", 1),)),
    Gallery(
        "3", "against other few-step methods",
        "ADD at 1 step beside the others at few steps, from the same noise.",
        (
            ("add", 1), ("lcm-lora", 1), ("lcm", 1), ("gan", 1), ("instaflow", 1), ("lcm-lora", 2), ("lcm-lora", 4),
            ("lcm", 4),
        ),
    ),
    Gallery("4", "more steps", "What further steps do to ADD's images.", (("add", 1), ("add", 2), ("add", 4))),
    Gallery(
        "8", "against the teacher", "ADD beside its teacher, from the same noise.",
        (("add", 1), ("add", 4), ("sdxl-euler", 25), ("sdxl-euler", 50)),
    ),
)  # fmt: skip


def diagram() -> Entry:
    """Figure 2."""
    return Entry(
        "figure2", "Figure 2: how ADD is trained", "A diagram; there is nothing in it to measure.",
        verdict=not_comparable("a diagram of the training"),
    )  # fmt: skip


def gallery(known: Gallery, sheets: Sequence[Sheet], prompts: Sequence[StoredPrompt]) -> Entry:
    """One figure of images, from the stored strips of the embedded suite."""
    found = {(sheet.record.cell.method, sheet.record.cell.num_inference_steps): sheet for sheet in sheets}
    chosen = [found[row] for row in known.rows if row in found]
    lacking = [f"{method} at {steps}" for method, steps in known.rows if (method, steps) not in found]
    drawn = grids(f"figure{known.number}", chosen, prompts)
    rows = ", ".join(f"{sheet.record.cell.method} {sheet.record.cell.num_inference_steps}" for sheet in chosen)
    alt = f"Images of the same prompts and seeds, a column each; rows, method and steps: {rows}."
    pictures = tuple(
        Picture(name.rpartition(".")[0], {name.rpartition(".")[2]: data}, alt) for name, data in drawn.items()
    )
    notes = (f"No images of {', '.join(lacking)}: not measured.",) if lacking else ()
    return Entry(
        f"figure{known.number}", f"Figure {known.number}: {known.title}", known.lead, pictures=pictures,
        command=f"python -m bench reproduce figure{known.number}", verdict=not_comparable(IMAGES), notes=notes,
    )  # fmt: skip
