"""The tallies of a self-test on disk: what is finished is kept while the gate's code is the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from bench.gate.selftest import Tally


def write_tallies(path: Path, tallies: Iterable[Tally], simulations: int) -> None:
    """Write what is finished, with what it is of."""
    rows = [asdict(tally) for tally in tallies]
    path.write_text(json.dumps({"of": _identity(path, simulations), "rows": rows}, indent=1) + "\n", encoding="utf-8")


def read_tallies(path: Path, simulations: int) -> dict[str, Tally]:
    """By name; none where there are none of this code, these images and that many gates."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["of"] != _identity(path, simulations):
            return {}
        tallies = [
            Tally(**{**row, "wanted": tuple(row["wanted"]) if row["wanted"] else None}) for row in stored["rows"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {tally.name: tally for tally in tallies}


def _identity(path: Path, simulations: int) -> str:
    """Hash of the gate's code, of the images beside `path`, and of the number of gates."""
    digest = hashlib.sha256(str(simulations).encode())
    for file in (*sorted(Path(__file__).parent.glob("*.py")), *sorted(path.parent.glob("*.npz"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()
