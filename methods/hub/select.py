"""Which files of a model are needed: the parts that its model_index.json names, one set of safetensors each.

Models on the hub hold the same weights many times over (half precision, ONNX, pickles, single files), and some hold
programs. Programs are never fetched, and a model that needs one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from methods.errors import WeightsError
from methods.hub.reference import PICKLES, SAFETENSORS, pickle_refused

MODEL_INDEX = "model_index.json"
SAFE_LIBRARIES = ("diffusers", "transformers")
LEFT_OUT = ("safety_checker", "feature_extractor", "image_encoder")
"""Components that stock pipelines do without: the first blackens images with the second's help, the third serves image
prompts. Some models name them and do not have them."""

SMALL = (".json", ".txt", ".model", ".jinja")
_SHARD = re.compile(r"-\d{5}-of-\d{5}")
_INDEX = ".safetensors.index"


def components(index: Mapping[str, Any], title: str) -> dict[str, str]:
    """Component -> class name, of those that a pipeline is made of.

    Raises:
        WeightsError: where one comes from code outside of the known libraries, or the pipeline's own class does.
    """
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str):
        raise WeightsError(f"{title}: needs its own pipeline code ({pipeline!r}); code from a checkpoint is never run")
    found = {}
    for name, value in index.items():
        if not isinstance(value, list) or len(value) != 2 or value[0] is None or name in LEFT_OUT:
            continue
        library, kind = value
        if library not in SAFE_LIBRARIES:
            raise WeightsError(f"{title}: {name} comes from {library!r}; code from a checkpoint is never run")
        found[name] = str(kind)
    return found


def check_config(config: Mapping[str, Any], title: str) -> None:
    """Refuse a configuration that asks for code of the checkpoint.

    Raises:
        WeightsError: naming the file.
    """
    if config.get("auto_map"):
        raise WeightsError(f"{title}: asks for remote code (auto_map); code from a checkpoint is never run")


def check_shards(index: Mapping[str, Any], names: Collection[str], title: str) -> None:
    """Refuse a list of shards that names a pickle, a place elsewhere, or a file that is not among `names`.

    Raises:
        WeightsError: naming the file.
    """
    shards = index.get("weight_map")
    if not isinstance(shards, Mapping) or not all(isinstance(shard, str) for shard in shards.values()):
        raise WeightsError(f"{title}: no object 'weight_map' in it; get the model again")
    for shard in sorted(set(shards.values())):
        if shard.endswith(PICKLES):
            raise pickle_refused(f"{title}: {shard}")
        if not shard.endswith(SAFETENSORS) or "/" in shard or "\\" in shard:
            raise WeightsError(f"{title}: {shard!r} is not a {SAFETENSORS} file beside it; get the model again")
        if shard not in names:
            raise WeightsError(f"{title}: {shard} is missing; get the model again")


def pipeline_files(
    names: Sequence[str], parts: Iterable[str], title: str, variant: str | None = None
) -> dict[str, str]:
    """Name in the pipeline folder -> name in the model, of every file that is needed.

    A variant is stored under the plain name, so that whoever reads the folder need not know of it.

    Raises:
        WeightsError: where a part is missing, or has its weights as a pickle alone.
    """
    chosen = {MODEL_INDEX: MODEL_INDEX}
    for part in parts:
        chosen.update(part_files(names, f"{part}/", title, variant))
    return chosen


def part_files(names: Sequence[str], prefix: str, title: str, variant: str | None = None) -> dict[str, str]:
    """The same for one part, whose files begin with `prefix` ("" for a network that is a model of its own).

    Raises:
        WeightsError: as `pipeline_files`.
    """
    here = [name for name in names if name.startswith(prefix) and "/" not in name[len(prefix) :]]
    if not here:
        raise WeightsError(f"{title}: has no {prefix.rstrip('/')}; it is not a whole pipeline")
    chosen = {name: name for name in here if name.endswith(SMALL) and _INDEX not in name}
    weights = _weights(here, variant)
    if not weights and (pickles := [name for name in here if name.endswith(PICKLES)]):
        raise pickle_refused(f"{title}: {pickles[0]}")
    for name in weights:
        chosen[_plain(name)] = name
    return {target: name for target, name in chosen.items() if prefix or target != MODEL_INDEX}


def has_weights(files: Mapping[str, str], part: str) -> bool:
    """Whether `files` has safetensors for `part`."""
    return any(name.startswith(f"{part}/") and name.endswith(SAFETENSORS) for name in files)


def _weights(names: Sequence[str], variant: str | None) -> list[str]:
    """The safetensors of one variant, with the list of shards if any: the one asked for, else the plain, else any."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if name.endswith(SAFETENSORS):
            groups.setdefault(_stem_and_variant(name), []).append(name)
        elif _INDEX in name:
            groups.setdefault(_stem_and_variant(name.replace(_INDEX, "").replace(".json", SAFETENSORS)), []).append(
                name
            )
    whole = {key: found for key, found in groups.items() if any(name.endswith(SAFETENSORS) for name in found)}
    if not whole:
        return []
    return sorted(whole[min(whole, key=lambda key: (key[1] != (variant or ""), key[1] != "", key))])


def _stem_and_variant(name: str) -> tuple[str, str]:
    """`unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors` -> (diffusion_pytorch_model, fp16)."""
    stem, _, variant = _SHARD.sub("", name.rpartition("/")[2]).removesuffix(SAFETENSORS).partition(".")
    return stem, variant


def _plain(name: str) -> str:
    """The name without its variant; shards keep theirs, since the list of shards names them."""
    folder, slash, file = name.rpartition("/")
    if _SHARD.search(file):
        return name
    stem = file.partition(".")[0]
    return f"{folder}{slash}{stem}{'.safetensors.index.json' if _INDEX in file else SAFETENSORS}"
