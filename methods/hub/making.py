"""Folders of the cache that are there whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from methods.errors import WeightsError


def make_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """`folder`, filled by `fill` unless it is there: under another name first, so that a crash leaves none half-made.

    Raises:
        WeightsError: where the cache cannot be written; what `fill` raises, with nothing left behind.
    """
    if folder.is_dir():
        return folder
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
        fill(partial)
        with suppress(OSError):  # another process was faster
            partial.rename(folder)
    except OSError as error:
        raise WeightsError(f"{folder.parent}: cannot be written ({error.strerror}); set FEWSTEP_CACHE") from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return folder
