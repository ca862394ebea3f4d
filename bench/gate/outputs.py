"""A gate's findings where CI looks for them: Markdown, JUnit XML, SARIF, JSON."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET  # nosec B405
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.gate.lines import describe, grouped, summary, verdict_text
from bench.gate.run import Outcome
from bench.gate.verdicts import Check, Verdict

_MARKS = {
    Verdict.PASS: "✅",
    Verdict.REGRESSION: "❌",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.CALIBRATION_NEEDED: "⚠️",
    Verdict.RECIPE_MISMATCH: "⛔",
}
_LEVELS = {Verdict.REGRESSION: "error", Verdict.RECIPE_MISMATCH: "error"}
_RULES = {
    Verdict.REGRESSION: "Head is worse than base",
    Verdict.INCONCLUSIVE: "More images or rounds would decide",
    Verdict.CALIBRATION_NEEDED: "Another machine or environment than the baseline's",
    Verdict.RECIPE_MISMATCH: "Base and head were not made under one protocol",
}


def write_outputs(outcome: Outcome, folder: Path) -> dict[str, Path]:
    """gate.json, summary.md, junit.xml and gate.sarif; {name: path}."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "gate.json": json.dumps(as_json(outcome), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "summary.md": markdown(outcome),
        "junit.xml": junit(outcome),
        "gate.sarif": json.dumps(sarif(outcome), indent=1, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return {name: folder / name for name in texts}


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Everything, the raw times included; what is not a number is null."""
    return {
        "verdict": str(outcome.verdict),
        "exit_code": outcome.exit_code,
        "base": outcome.base,
        "head": outcome.head,
        "rounds": outcome.rounds,
        "seconds": outcome.seconds,
        "noise_floors": {name: _finite(asdict(floor)) for name, floor in outcome.floors.items()},
        "checks": [_finite(asdict(check)) for check in outcome.checks],
        "pairs": {
            cell: [[asdict(pair) for pair in pairs] for pairs in rounds] for cell, rounds in outcome.pairs.items()
        },
    }


def markdown(outcome: Outcome) -> str:
    """A table for a job's summary: what did not pass first and in full, what passed folded away."""
    wrong = [check for check in outcome.checks if check.verdict is not Verdict.PASS]
    right = [check for check in outcome.checks if check.verdict is Verdict.PASS]
    mark = _MARKS[outcome.verdict]
    parts = [f"### {mark} Gate: {outcome.verdict}", "", _escaped(summary(outcome)), ""]
    if wrong:
        parts += [*_table(wrong), ""]
    if right:
        parts += [f"<details><summary>{len(right)} passed</summary>", "", *_table(right), "", "</details>", ""]
    return "\n".join(parts)


def junit(outcome: Outcome) -> str:
    """A test suite with a case a check: a failure for what is wrong, skipped for what could not be told."""
    cases = outcome.checks
    failed = [check for check in cases if check.verdict in (Verdict.REGRESSION, Verdict.RECIPE_MISMATCH)]
    skipped = [check for check in cases if check.verdict not in (Verdict.PASS, *_LEVELS)]
    suite = ET.Element(
        "testsuite",
        name="fewstep-bench gate",
        tests=str(len(cases)),
        failures=str(len(failed)),
        skipped=str(len(skipped)),
        errors="0",
        time=f"{outcome.seconds:.3f}",
    )
    for check in cases:
        case = ET.SubElement(suite, "testcase", classname=_xml(check.cell), name=_xml(_name(check)))
        text = _xml(describe(check))
        if check in failed:
            ET.SubElement(case, "failure", type=verdict_text(check), message=text)
        elif check in skipped:
            ET.SubElement(case, "skipped", message=f"{verdict_text(check)}: {text}")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def sarif(outcome: Outcome) -> dict[str, Any]:
    """SARIF 2.1.0: one result a check that did not pass, at the method that it is about."""
    results = [
        {
            "ruleId": str(check.verdict),
            "level": _LEVELS.get(check.verdict, "warning"),
            "message": {"text": f"{check.cell} {_name(check)}: {describe(check)}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _file_of(check), "uriBaseId": "%SRCROOT%"},
                        "region": {"startLine": 1},
                    }
                }
            ],
            "partialFingerprints": {"check": f"{check.cell}/{check.kind}/{check.quantity}"},
        }
        for check in outcome.checks
        if check.verdict is not None and check.verdict is not Verdict.PASS
    ]
    rules = [{"id": str(verdict), "shortDescription": {"text": text}} for verdict, text in _RULES.items()]
    driver = {"name": "fewstep-bench gate", "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _table(checks: list[Check]) -> list[str]:
    rows = [
        f"| {_escaped(check.cell)} | {_escaped(check.kind)} | {_verdict(check)} | {_escaped(describe(check))} |"
        for group in grouped(checks)
        for check in group
    ]
    return ["| Cell | | Verdict | Head against base |", "| :-- | :-- | :-- | :-- |", *rows]


def _verdict(check: Check) -> str:
    return verdict_text(check) if check.verdict is None else f"{_MARKS[check.verdict]} {check.verdict}"


def _name(check: Check) -> str:
    return " ".join(part for part in (check.kind, check.title) if part)


def _file_of(check: Check) -> str:
    """The file of the cell's method, where it is one of this package."""
    from methods.registry import METHODS

    name = check.cell.rpartition("/")[2].rpartition("-")[0].partition("@")[0].partition(" ")[0]
    if name not in METHODS.names():
        return "methods/registry.py"
    path = METHODS.entry(name).target.partition(":")[0].replace(".", "/")
    root = Path(__file__).resolve().parents[2]
    return f"{path}/__init__.py" if (root / path).is_dir() else f"{path}.py"


def _escaped(text: str) -> str:
    """Text that is nothing but text in a Markdown table."""
    plain = "".join(" " if ord(letter) < 32 else letter for letter in text)
    for letter in "\\`*_[]|~#!":
        plain = plain.replace(letter, f"\\{letter}")
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")


def _xml(text: str) -> str:
    """Without the control characters that XML has no way to hold."""
    return "".join(" " if ord(letter) < 32 or 0xD800 <= ord(letter) <= 0xDFFF else letter for letter in text)


def _finite(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(item, float) and not math.isfinite(item) else item for name, item in value.items()}
