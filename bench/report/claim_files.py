"""Claims and ablations as files: CSV and JSON, the same bytes for the same records."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from bench.claims.judge import Judged
from bench.folder import write_json
from bench.report.claims import because, evidence_csv_rows


def as_json(item: Judged) -> dict[str, object]:
    """A claim with its verdict and its comparisons."""
    heads, rows = evidence_csv_rows([item])
    claim = {"name": item.claim.name, "text": item.claim.text, "source": item.claim.source}
    evidence = [dict(zip(heads, row, strict=True)) for row in rows]
    return {**claim, "criterion": item.claim.criterion, "verdict": item.verdict, "because": because(item),
            "command": item.claim.command, "comparisons": evidence}  # fmt: skip


def write_claims(judged: Sequence[Judged], folder: Path) -> None:
    """Write `claims.csv` (a line a comparison) and `claims.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "claims.csv").write_text(csv_text(*evidence_csv_rows(judged)), encoding="utf-8")
    write_json(folder / "claims.json", [as_json(item) for item in judged])


def csv_text(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Comma-separated, a line a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return text.getvalue()
