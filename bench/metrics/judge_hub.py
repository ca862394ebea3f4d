"""Judges from the hub: what `bench fetch --judges` gets, recorded then and checked at every load. No torch until then.

Two judges are published as pickles. Their files are named in the table of judges, compared with the hub's own hash,
read as weights alone in a process of its own (`methods.hub.convert`), and renamed once into what the adapters load.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.errors import UsageError, WeightsError
from bench.metrics.judge_table import WEIGHTS, WeightsInfo
from methods.hub.lock import check_recorded
from methods.hub.places import cache_folder
from methods.hub.reference import HubId, check_filename, check_repo
from methods.hub.resolve import resolve_wanted
from methods.hub.wanted import Wanted


def wanted_of_judges(names: Sequence[str]) -> list[Wanted]:
    """Everything that the judges need from the hub.

    Raises:
        UsageError: for a name that is no judge, or one that is not on the hub, with where it is.
    """
    found: list[Wanted] = []
    for name in names:
        if name not in WEIGHTS:
            raise UsageError(f"--judges: {name!r} is not one of {', '.join(WEIGHTS)}")
        info = WEIGHTS[name]
        if not info.on_hub:
            raise UsageError(f"--judges {name}: it is not on the hub; {info.note} ({info.source})")
        found += _wanted(info)
    return list(dict.fromkeys(found))


def hub_folder(name: str) -> Path:
    """The folder that judge `name` is loaded from.

    Raises:
        WeightsError: where it was not fetched, naming the command, or is not what was recorded.
    """
    info = WEIGHTS[name]
    first, *beside = (resolve_wanted(wanted) for wanted in _wanted(info))
    return _renamed(info, first, beside[0]) if info.pickle is not None else first


def _wanted(info: WeightsInfo) -> list[Wanted]:
    options = f"--judges {info.name}"
    if info.pickle is None:
        return [Wanted(HubId(check_repo(info.source)), is_pipeline=False, options=options)]
    repo, _, file = info.pickle.rpartition("/")
    pickle = HubId(check_repo(repo), "main", check_filename(file))
    return [
        Wanted(pickle, is_pipeline=False, may_be_pickle=True, options=options),
        Wanted(HubId(check_repo(str(info.config))), is_pipeline=False, small_only=True, options=options),
    ]


def _renamed(info: WeightsInfo, weights: Path, config: Path) -> Path:
    """The judge's own folder, made at the first call: its names instead of those of the published file."""
    folder = cache_folder() / "judges" / f"{info.name}-{weights.stem[:12]}"
    if not folder.is_dir():
        from bench.metrics.hub.convert import convert

        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
        try:
            convert(info.name, weights, partial, config)
            partial.rename(folder)
        except OSError as error:
            if not folder.is_dir():  # another process was faster, or there is no room
                raise WeightsError(f"{folder}: cannot be written ({error.strerror}); set FEWSTEP_CACHE") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    check_recorded(f"judges/{folder.name}", folder / "model.safetensors")
    return folder
