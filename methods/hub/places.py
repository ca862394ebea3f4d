"""Where things are kept: this package's cache, and the hub's own."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

CACHE_VARIABLE = "FEWSTEP_CACHE"


def cache_folder() -> Path:
    """Where this package keeps what it made: $FEWSTEP_CACHE or the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else user_cache_path("fewstep-bench")


def hub_cache() -> Path:
    """The hub's cache, shared with every other program on this machine ($HF_HUB_CACHE, $HF_HOME)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def hub_endpoint() -> str:
    """The address of the hub ($HF_ENDPOINT)."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def repo_folder(repo: str) -> Path:
    """Where the hub's cache keeps model `repo`."""
    return hub_cache() / ("models--" + repo.replace("/", "--"))
