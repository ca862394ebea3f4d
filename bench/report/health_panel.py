"""The health of the metrics, as `bench health` found it: does each score put damaged images below real ones?"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from bench.errors import RecordError
from bench.report.sections import DataTable, Mark, Material, Prose, Section, Value

FOLDER = "health"
COMMAND = "python -m bench health --out {folder}"
_MARKS: dict[str, Mark] = {"ordered": "good", "wrong order": "bad"}


def health_panel(material: Material) -> Section | None:
    """The section; None where the results have no check of the metrics.

    Raises:
        RecordError: where the check's file is damaged.
    """
    path = material.results / FOLDER / "health.json"
    if not path.is_file():
        return None
    frame = _frame(path)
    flagged = sorted({str(row["Score"]) for _, row in frame.iterrows() if row["Verdict"].mark in ("bad", "unknown")})
    told = f"Not to be trusted for what they do not order: {', '.join(flagged)}." if flagged else "All of them do."
    return Section(
        "health", "Are the scores any good?",
        "Real images, damaged in known ways, measured as if methods had made them. A score that does not put them "
        "below the real ones cannot tell methods apart either.",
        (Prose(told), DataTable(frame, "What each score made of each pair of sets of images.")),
    )  # fmt: skip


def _frame(path: Path) -> pd.DataFrame:
    try:
        findings = json.loads(path.read_text(encoding="utf-8"))["findings"]
        rows = [
            [item["metric"], item["better"], item["worse"], *(float(value) for value in item["values"]), _verdict(item)]
            for item in findings
        ]
        heads = ["Score", "Better images", "Worse images", "Of the better", "Of the worse", "Verdict"]
        return pd.DataFrame(rows, columns=heads, dtype=object)
    except (OSError, ValueError, KeyError, TypeError) as error:
        command = COMMAND.format(folder=path.parent)
        raise RecordError(f"{path}: not a check of metrics ({error}); run `{command}` again") from error


def _verdict(item: dict[str, object]) -> Value:
    said = str(item["verdict"])
    return Value(said, mark="unknown" if item["flagged"] and said == "cannot tell" else _MARKS.get(said, ""))
