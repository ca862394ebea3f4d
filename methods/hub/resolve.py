"""From what the user or the table names to a pipeline folder on this disk. Nothing is fetched here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from methods.errors import WeightsError
from methods.hub import lock
from methods.hub.check import needed_files, read_object
from methods.hub.convert import convert_pickle
from methods.hub.fit import GUIDANCE_INPUT, check_denoiser, check_lora, kind_of
from methods.hub.hashes import sha256_of
from methods.hub.headers import TensorHeader, read_header
from methods.hub.listing import Listing, RepoFile, list_in_cache, snapshot_folder
from methods.hub.onefile import networks_of
from methods.hub.places import hub_cache, repo_folder
from methods.hub.problems import fetch_command
from methods.hub.reference import PICKLES, SAFETENSORS, HubId, parse, pickle_refused
from methods.hub.select import LEFT_OUT, MODEL_INDEX
from methods.hub.views import View, sources_of, view_of_folder
from methods.hub.wanted import Row, Wanted, all_rows, base_of_row, wanted_of_row

LORA = "pytorch_lora_weights.safetensors"
CONFIG = "config.json"
DENOISERS = ("unet", "transformer")


def resolve(text: str) -> Path:
    """The folder or the single file that `text` names (see `methods.hub.reference`), checked against the record.

    Raises:
        UsageError: where `text` is no name at all.
        WeightsError: where it is not on this disk, naming the command that fetches it; where it is not what was
            recorded, unsafe, or incomplete.
    """
    found = parse(text)
    if isinstance(found, HubId):
        if not repo_folder(found.repo).exists():
            command = fetch_command(found)
            raise WeightsError(f"there is no folder {text}, nor was such a model fetched; {command} fetches it")
        return resolve_wanted(Wanted(found, is_pipeline=False))
    if not found.exists():
        raise WeightsError(f"there is no folder {text}, nor a file of that name")
    if found.is_file() and found.suffix != SAFETENSORS:
        raise WeightsError(f"{text}: name a pipeline folder, a {SAFETENSORS} file, or a model on the hub")
    return found


def resolve_wanted(wanted: Wanted) -> Path:
    """A view of a model in the hub's cache, or the single file that was asked for.

    Raises:
        WeightsError: as `resolve`.
    """
    listing = list_in_cache(wanted.hub_id, wanted.command)
    folder = snapshot_folder(listing.repo, listing.commit)
    try:
        files = needed_files(wanted, listing, lambda name: folder / name)
    except WeightsError as error:
        raise _incomplete(wanted, listing, error) from error
    hashes = _checked(wanted, listing, sorted(set(files.values())))
    if wanted.hub_id.filename is not None:
        return _single(folder / wanted.hub_id.filename, hashes[wanted.hub_id.filename])
    view = View(sources=[{"repo": listing.repo, "commit": listing.commit, "files": hashes}])
    for target, name in files.items():
        view.link(target, folder / name, hashes[name])
    if MODEL_INDEX in files:
        view.write(MODEL_INDEX, _without_left_out(read_object(folder / MODEL_INDEX)))
    return view.folder(listing.repo)


def row_folder(row: Row) -> Path:
    """The pipeline folder of a row of the table, with its base where it needs one.

    Raises:
        WeightsError: as `resolve`, and for a row without public weights.
    """
    wanted, base = wanted_of_row(row), base_of_row(row, all_rows())
    if wanted is None:
        raise WeightsError("no weights of it are public")
    path = resolve_wanted(wanted)
    return path if base is None else onto_base(path, resolve_wanted(base), _source_of_wanted(wanted))


def pipeline_folder(path: Path, base: Callable[[], Path]) -> Path:
    """`path`, where it is a pipeline folder; a single file, or a folder with one network, is put onto `base`.

    Raises:
        WeightsError: where it does not fit.
    """
    is_network = path.is_dir() and not (path / MODEL_INDEX).exists() and (path / CONFIG).exists()
    return onto_base(path, base()) if path.is_file() or is_network else path


def onto_base(path: Path, base: Path, source: Mapping[str, Any] | None = None) -> Path:
    """A view of the pipeline folder `base` with the denoiser, the LoRA or all networks of `path` in it.

    `source` says which file of the hub `path` was made of, where its place does not.

    Raises:
        WeightsError: where it is neither, or does not fit.
    """
    header = _folder_header(path) if path.is_dir() else read_header(path)
    kind = "denoiser" if path.is_dir() else kind_of(header)
    part = _denoiser_of(base)
    view = view_of_folder(base)
    if kind == "pipeline":
        _replace_networks(view, networks_of(path, base))
    elif kind == "lora":
        check_lora(header, _folder_header(base / part), str(path))
        view.link(LORA, path, sha256_of(path))
    else:
        check_denoiser(header, _folder_header(base / part), str(path))
        _replace_denoiser(view, path, base / part, header)
    sources = _sources(path) if source is None else [source]
    view.sources.extend(sources)
    return view.folder(f"{_stem(sources[0], path)}-on-{base.name.rpartition('--')[2]}"[:80])


def describe(path: Path) -> str | None:
    """Where a view's files, or a single file, come from, for people; None for a folder that is no view."""
    parts = []
    for source in _sources(path) if path.is_file() else sources_of(path):
        if "repo" not in source:
            parts.append(f"{source['file']} (sha256 {str(source['sha256'])[:12]})")
            continue
        files, commit = source["files"], str(source["commit"])[:12]
        if len(files) == 1:
            ((name, digest),) = files.items()
            parts.append(f"{source['repo']}/{name}@{commit} (sha256 {str(digest)[:12]}, checked)")
        else:
            parts.append(f"{source['repo']}@{commit} ({len(files)} files, sha256 checked)")
    return " + ".join(parts) or None


def _replace_denoiser(view: View, path: Path, part: Path, header: Mapping[str, TensorHeader]) -> None:
    config = read_object((path if path.is_dir() else part) / CONFIG)
    view.drop(f"{part.name}/")
    if GUIDANCE_INPUT in header:
        config["time_cond_proj_dim"] = header[GUIDANCE_INPUT].shape[1]
    elif "time_cond_proj_dim" in config:
        config["time_cond_proj_dim"] = None
    view.write(f"{part.name}/{CONFIG}", config)
    if path.is_file():
        view.link(f"{part.name}/diffusion_pytorch_model{SAFETENSORS}", path, sha256_of(path))
        return
    for file in sorted(path.iterdir()):
        if SAFETENSORS in file.name:
            view.link(f"{part.name}/{file.name}", file, sha256_of(file))


def _replace_networks(view: View, networks: Mapping[str, Path]) -> None:
    for name in [name for name in view.hashes if SAFETENSORS in name and "/" in name]:
        view.drop(name)
    for name, file in networks.items():
        view.link(name, file, sha256_of(file))


def _folder_header(folder: Path) -> dict[str, TensorHeader]:
    """The tensors of all safetensors files of one network."""
    return {
        name: tensor for path in sorted(folder.glob(f"*{SAFETENSORS}")) for name, tensor in read_header(path).items()
    }


def _denoiser_of(base: Path) -> str:
    for part in DENOISERS:
        if (base / part).is_dir():
            return part
    raise WeightsError(f"{base}: has no {' and no '.join(DENOISERS)}; it cannot be the base of anything")


def _checked(wanted: Wanted, listing: Listing, names: list[str]) -> dict[str, str]:
    """File name -> sha256, each as recorded; what was never recorded is, if it is what the cache says it is."""
    recorded = lock.locked_files(listing.repo, listing.commit)
    folder = snapshot_folder(listing.repo, listing.commit)
    hashes = {name: sha256_of(folder / name) for name in names}
    for name, digest in hashes.items():
        file = listing.file(name)
        expected = wanted.sha256 or recorded.get(name) or (file and file.sha256) or digest
        if digest != expected:
            raise lock.changed(str(folder / name), expected, digest)
        _check_readable(folder / name, file)
    if not set(hashes) <= set(recorded):
        lock.record(listing.repo, wanted.hub_id.revision, listing.commit, hashes)
    return hashes


def _check_readable(path: Path, file: RepoFile | None) -> None:
    if file is not None and path.name.endswith(SAFETENSORS):
        read_header(path)


def _single(path: Path, digest: str) -> Path:
    if path.name.endswith(PICKLES):
        return convert_pickle(path, digest)
    if path.suffix != SAFETENSORS:
        raise pickle_refused(path)
    return path


def _sources(path: Path) -> list[Mapping[str, Any]]:
    """Where a file, or the folder of one network, comes from: the hub's cache says so by its places."""
    if path.is_dir():
        return sources_of(path) or [{"file": path.name, "sha256": None}]
    digest = sha256_of(path)
    try:
        model, kind, commit, *name = path.relative_to(hub_cache()).parts
    except ValueError:
        return [{"file": path.name, "sha256": digest}]
    if kind != "snapshots" or not name:
        return [{"file": path.name, "sha256": digest}]
    repo = model.removeprefix("models--").replace("--", "/", 1)
    return [{"repo": repo, "commit": commit, "files": {"/".join(name): digest}}]


def _source_of_wanted(wanted: Wanted) -> Mapping[str, Any] | None:
    """The one file that was asked for, as it is on the hub: what is read may have been made of it."""
    repo, name = wanted.hub_id.repo, wanted.hub_id.filename
    if name is None:
        return None
    commit = list_in_cache(wanted.hub_id, wanted.command).commit
    return {"repo": repo, "commit": commit, "files": {name: lock.locked_files(repo, commit).get(name)}}


def _stem(source: Mapping[str, Any], path: Path) -> str:
    """What a view is called after."""
    names = list(source.get("files", ()))
    return Path(names[0]).stem if len(names) == 1 else path.stem


def _without_left_out(index: dict[str, Any]) -> dict[str, Any]:
    """The index without the components that a stock pipeline does without."""
    kept = {name: [None, None] if name in LEFT_OUT else value for name, value in index.items()}
    return {**kept, "requires_safety_checker": False} if "requires_safety_checker" in index else kept


def _incomplete(wanted: Wanted, listing: Listing, error: WeightsError) -> WeightsError:
    """What is missing may only not have been fetched: say how it is."""
    if "never run" in str(error) or "pickle" in str(error):
        return error
    return WeightsError(f"{error} ({wanted.command} fetches what {listing.repo} has)")
