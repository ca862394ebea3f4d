"""What others measured of the released checkpoints: published values, each table of one protocol."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.published.tables import Published, PublishedRow, published
from bench.report.sections import DataTable, Material, Section, Value

HEADS = {"fid": "FID ↓", "patch_fid": "Patch FID ↓", "clip_score": "CLIP score ↑"}


def elsewhere(_material: Material) -> Section:
    """The section: a table a protocol."""
    protocols = dict.fromkeys(row.keys["protocol"] for row in published("independent"))
    lead = (
        "Few-step checkpoints as other papers measured them, each table under one protocol: values compare within a "
        "table, not across tables, and not with what is measured here."
    )
    return Section("elsewhere", "Measured elsewhere", lead, tuple(map(_table, protocols)))


def _table(protocol: str) -> DataTable:
    rows = [row for row in published("independent") if row.keys["protocol"] == protocol]
    heads = {name: head for name, head in HEADS.items() if any(name in row.values for row in rows)}
    columns = {
        "Model": [row.keys["model"] for row in rows],
        "Steps": [row.keys["num_inference_steps"] for row in rows],
        **{head: _column(rows, name) for name, head in heads.items()},
    }
    sources = "; ".join(dict.fromkeys(row.source for row in rows))
    return DataTable(pd.DataFrame(columns, dtype=object), f"{protocol}. Source: {sources}.")


def _column(rows: Sequence[PublishedRow], name: str) -> list[Value]:
    return [_value(row.values.get(name)) for row in rows]


def _value(found: Published | None) -> Value:
    if found is None:
        return Value.missing("not in the source")
    return Value(found.shown, sort=found.number)
