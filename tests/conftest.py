"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random teacher: classifier-free guidance, v-prediction, zero terminal SNR. Never write into it."""
    from tests.tiny import write_tiny_pipeline

    return write_tiny_pipeline(tmp_path_factory.mktemp("tiny") / "pipeline")


@pytest.fixture(scope="session")
def tiny_embedded_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with an embedded guidance scale, as consistency models have it. Never write into it."""
    from tests.tiny import GUIDANCE_EMBEDDING_WIDTH, write_tiny_pipeline

    folder = tmp_path_factory.mktemp("tiny") / "embedded"
    return write_tiny_pipeline(folder, time_cond_proj_dim=GUIDANCE_EMBEDDING_WIDTH)


@pytest.fixture(scope="session")
def tiny_lora_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random teacher with a random LoRA beside its parts. Never write into it."""
    from tests.tiny import write_tiny_lora_pipeline

    return write_tiny_lora_pipeline(tmp_path_factory.mktemp("tiny") / "lora")


@pytest.fixture(scope="session")
def tiny_gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GAN, a pipeline of its own kind. Never write into it."""
    from tests.tiny import write_tiny_gan

    return write_tiny_gan(tmp_path_factory.mktemp("tiny") / "gan")


@pytest.fixture
def copy_of_tiny(tiny_pipeline: Path, tmp_path: Path) -> Callable[[], Path]:
    """A fresh copy of the random teacher that a test may damage."""

    def copy() -> Path:
        return Path(shutil.copytree(tiny_pipeline, tmp_path / "copy"))

    return copy


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What this package keeps goes into a folder of the tests, never into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEWSTEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
