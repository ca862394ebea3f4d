from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from methods.hub import hashes
from tests.hub.hub import FakeHub


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This package's cache and the hub's, both empty; the hub's is returned. The network is off."""
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "fewstep"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hashes.forget()
    return tmp_path / "hub"


@pytest.fixture
def hub(caches: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that answers, in place of the real one."""
    fake = FakeHub()
    address, server = fake.start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    yield fake
    close_session()
    server.shutdown()
    server.server_close()
