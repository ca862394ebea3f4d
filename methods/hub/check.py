"""From a listing to the files that are needed, with the small ones read and judged before a large one is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from methods.errors import WeightsError
from methods.hub.listing import Listing
from methods.hub.reference import PICKLES, SAFETENSORS, pickle_refused
from methods.hub.select import (
    MODEL_INDEX,
    SMALL,
    check_config,
    check_shards,
    components,
    has_weights,
    part_files,
    pipeline_files,
)
from methods.hub.wanted import Wanted
from methods.jsonfile import read_json

Read = Callable[[str], Path]
"""Gives the place on disk of a small file of the listing, fetching it if need be."""

_WITHOUT_WEIGHTS = ("scheduler", "tokenizer", "image_processor", "processor")


def needed_files(wanted: Wanted, listing: Listing, read: Read) -> dict[str, str]:
    """Name in the folder that is made of it -> name in the model.

    Raises:
        WeightsError: where a file is missing, a pickle, or asks for remote code.
    """
    title = f"{wanted.hub_id}"
    if wanted.hub_id.filename is not None:
        return _one_file(wanted, listing, title)
    if wanted.small_only:
        files = {name: name for name in listing.names if "/" not in name and name.endswith(SMALL)}
        _check_configs(files, read, title)
        return files
    if MODEL_INDEX in listing.names:
        return _pipeline(wanted, listing, read, title)
    if wanted.is_pipeline:
        raise _no_pipeline(listing, title)
    files = part_files(listing.names, "", title, wanted.variant)
    if not any(name.endswith(SAFETENSORS) for name in files):
        raise WeightsError(f"{title}: has no safetensors; convert it, or name another model")
    _check_configs(files, read, title)
    return files


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        WeightsError: where there is none.
    """
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not readable as JSON ({error}); delete it and fetch it again") from error
    if not isinstance(data, dict):
        raise WeightsError(f"{path}: expected a JSON object")
    return data


def _one_file(wanted: Wanted, listing: Listing, title: str) -> dict[str, str]:
    name = str(wanted.hub_id.filename)
    if name.endswith(PICKLES) and not wanted.may_be_pickle:
        raise pickle_refused(title)
    if listing.file(name) is None:
        raise WeightsError(f"{title}: the model has no such file at {listing.commit[:12]}")
    return {name: name}


def _pipeline(wanted: Wanted, listing: Listing, read: Read, title: str) -> dict[str, str]:
    parts = components(read_object(read(MODEL_INDEX)), title)
    files = pipeline_files(listing.names, parts, title, wanted.variant)
    _check_configs(files, read, title)
    for part in parts:
        if not part.startswith(_WITHOUT_WEIGHTS) and not has_weights(files, part):
            raise WeightsError(f"{title}: no safetensors for {part}; the model is not complete, fetch it again")
    return files


def _check_configs(files: dict[str, str], read: Read, title: str) -> None:
    for target, name in files.items():
        folder, _, file = target.rpartition("/")
        if file.endswith("config.json"):
            check_config(read_object(read(name)), f"{title}: {name}")
        elif ".safetensors.index" in file:
            beside = {other.rpartition("/")[2] for other in files if other.rpartition("/")[0] == folder}
            check_shards(read_object(read(name)), beside, f"{title}: {name}")


def _no_pipeline(listing: Listing, title: str) -> WeightsError:
    singles = [name for name in listing.names if name.endswith(SAFETENSORS) and "/" not in name]
    if singles:
        return WeightsError(
            f"{title}: no {MODEL_INDEX} in it; name one of its files, as in {listing.repo}/{singles[0]}"
        )
    if pickles := [name for name in listing.names if name.endswith(PICKLES)]:
        return pickle_refused(f"{title}: {pickles[0]}")
    return WeightsError(f"{title}: no {MODEL_INDEX} in it; it is not a diffusers pipeline")
