from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import fakes, tables


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[fakes.Control]:
    """The fakes in place of the real tables, with weights for each fake method."""
    tables.install(monkeypatch)
    fakes.reset()
    for name in tables.METHODS.names():
        (tmp_path / "weights" / name).mkdir(parents=True)
        (tmp_path / "weights" / name / "weights.txt").write_text("0.05")
    fakes.control.weights = tmp_path / "weights"
    yield fakes.control
    fakes.reset()
