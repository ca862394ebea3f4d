from __future__ import annotations

from pathlib import Path

import pytest

from tests.judges.make import MAKERS


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny checkpoint of every judge. Never write into them."""
    root = tmp_path_factory.mktemp("judges")
    return {name: make(root / name) for name, make in MAKERS.items()}
