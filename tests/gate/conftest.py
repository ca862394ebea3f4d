"""Two trees that answer as this project does, in milliseconds and without torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.gate.sides import Settings
from bench.record import Record
from tests.gate.worlds import record

VISITOR = """
import json, random, sys
from pathlib import Path

config = json.loads(sys.argv[1])
about = json.loads((Path(config["tree"]) / "about.json").read_text())
if about["seconds"] is None:
    sys.exit("it cannot be loaded")
print(json.dumps({"loaded": True}), flush=True)
for line in sys.stdin:
    if "warm_up" in json.loads(line):
        print(json.dumps({"ready": {str(k): about["seconds"] for k in range(len(config["cells"]))}}), flush=True)
        continue
    total = about["seconds"] * random.gauss(1, 0.002)
    print(json.dumps({"total": total, "stages": {"denoiser": total / 2, "decoder": total / 4}}), flush=True)
"""

RUN = """
import shutil, sys
from pathlib import Path

out = Path(sys.argv[sys.argv.index("--out") + 1])
source = Path(__file__).parent.parent / "records"
if not source.is_dir():
    sys.exit("error: there are no weights")
shutil.copytree(source, out / "records")
"""


@pytest.fixture
def settings() -> Settings:
    return Settings(("add",), (1, 4), limit=400)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """`tree("head", seconds=0.02, records=[...])` makes one."""
    visitor = tmp_path / "visitor.py"
    visitor.write_text(VISITOR)
    monkeypatch.setattr("bench.gate.sides.VISITOR", visitor)

    def make(name: str, seconds: float | None = 0.02, records: list[Record] | None = None) -> Path:
        folder = tmp_path / name
        (folder / "bench").mkdir(parents=True)
        (folder / "bench" / "__init__.py").touch()  # else an installed package comes before it
        (folder / "bench" / "__main__.py").write_text(RUN)
        (folder / "about.json").write_text(json.dumps({"seconds": seconds}))
        for item in [record(), record(steps=4)] if records is None else records:
            (folder / "records").mkdir(exist_ok=True)
            data = asdict(item) | {"cell": item.cell.stated}
            (folder / "records" / f"{item.cell.name}.json").write_text(json.dumps(data))
        return folder

    return make
