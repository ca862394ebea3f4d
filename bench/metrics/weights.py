"""Which pretrained judges there are, where their weights come from, and which of them a run was given. No torch.

A judge's weights are a folder (or a file) of the user's, or `hub`, which downloads the named repository once into the
hub's own cache. They are read as safetensors and JSON; the one exception is Inception's TorchScript file, which is
pinned by its hash.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.errors import UsageError, WeightsError
from bench.provenance import file_hash

HUB = "hub"
OPTION = "--metric-weights"


@dataclass(frozen=True)
class WeightsInfo:
    """One pretrained judge: `source` is a hub repository or the address of a file, `files` the patterns that are read.

    `sha256` pins the one file of a judge that is not in a safe format. `on_hub` says that `source` can be downloaded
    in the layout that is read here; where it cannot, `note` says how the files are made.
    """

    name: str
    title: str
    source: str
    licence: str
    files: tuple[str, ...]
    sha256: str | None = None
    on_hub: bool = True
    note: str = ""


_TRANSFORMERS = ("config.json", "*.safetensors")
_CLIP = (
    *_TRANSFORMERS,
    "preprocessor_config.json",
    "tokenizer*.json",
    "vocab.json",
    "merges.txt",
    "special_tokens*.json",
)
_CONVERT = "convert the published file once with `python -m bench.metrics.hub.convert`"

WEIGHTS: Mapping[str, WeightsInfo] = {
    info.name: info
    for info in (
        WeightsInfo(
            "inception",
            "Inception v3 of 2015-12-05 as TorchScript, which clean-fid uses",
            "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
            "Apache-2.0 (the TensorFlow network)",
            ("inception-2015-12-05.pt",),
            sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
            on_hub=False,
            note="download it",
        ),
        WeightsInfo(
            "inception-fidelity",
            "the same network as torch-fidelity and torchmetrics hold it",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
            "Apache-2.0",
            ("*.safetensors",),
            on_hub=False,
            note=_CONVERT,
        ),
        WeightsInfo("dinov2", "DINOv2 ViT-L/14", "facebook/dinov2-large", "Apache-2.0", _TRANSFORMERS),
        WeightsInfo(
            "clip-g", "OpenCLIP ViT-g-14, laion2b_s12b_b42k", "laion/CLIP-ViT-g-14-laion2B-s12B-b42K", "MIT", _CLIP
        ),
        WeightsInfo("clip-l", "OpenAI CLIP ViT-L/14", "openai/clip-vit-large-patch14", "MIT", _CLIP),
        WeightsInfo("pickscore", "PickScore v1 (CLIP ViT-H-14)", "yuvalkirstain/PickScore_v1", "MIT", _CLIP),
        WeightsInfo(
            "hpsv2",
            "HPS v2.1 (CLIP ViT-H-14)",
            "https://huggingface.co/xswu/HPSv2 HPS_v2.1_compressed.pt",
            "Apache-2.0",
            _CLIP,
            on_hub=False,
            note=_CONVERT,
        ),
        WeightsInfo(
            "image-reward",
            "ImageReward v1.0 (BLIP ViT-L and a head)",
            "https://huggingface.co/THUDM/ImageReward ImageReward.pt",
            "Apache-2.0",
            ("config.json", "*.safetensors", "tokenizer*.json", "vocab.txt", "special_tokens*.json"),
            on_hub=False,
            note=_CONVERT,
        ),
        WeightsInfo(
            "aesthetic",
            "LAION aesthetic predictor v2, linear head on CLIP ViT-L/14",
            "https://github.com/christophschuhmann/improved-aesthetic-predictor sac+logos+ava1-l14-linearMSE.pth",
            "Apache-2.0",
            ("*.safetensors",),
            on_hub=False,
            note=_CONVERT,
        ),
        WeightsInfo(
            "alexnet",
            "torchvision's AlexNet, under LPIPS",
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            "BSD-3-Clause; LPIPS BSD-2-Clause",
            ("*.safetensors",),
            on_hub=False,
            note=_CONVERT,
        ),
    )
}


def parse_metric_weights(items: Sequence[str]) -> dict[str, Path | None]:
    """`NAME=PATH`, `NAME=hub` or a folder with a subfolder a name -> name -> path, None for the hub.

    Raises:
        UsageError: for a name that is not in `WEIGHTS`, a path that is not there, or a judge that is not on the hub.
    """
    given: dict[str, Path | None] = {}
    for item in items:
        for name, path in _one(item):
            if name in given:
                raise UsageError(f"{OPTION} gives {name!r} twice; give it once")
            given[name] = path
    return given


def _one(item: str) -> Iterator[tuple[str, Path | None]]:
    name, equals, path = item.partition("=")
    if not equals:
        found = [(known, Path(item) / known) for known in WEIGHTS if (Path(item) / known).exists()]
        if not found:
            raise UsageError(
                f"{OPTION} {item!r} is neither NAME=FOLDER nor a folder with one of {', '.join(WEIGHTS)} in it"
            )
        yield from found
        return
    if name not in WEIGHTS:
        raise UsageError(f"{OPTION} {item!r}: {name!r} is not one of {', '.join(WEIGHTS)}")
    info = WEIGHTS[name]
    if path == HUB:
        if not info.on_hub:
            raise UsageError(f"{OPTION} {item}: it is not on the hub in a safe format; {info.note} ({info.source})")
        yield name, None
    elif not Path(path).exists():
        raise UsageError(f"{OPTION} {item!r}: there is nothing at {path}")
    else:
        yield name, Path(path)


class JudgeFiles:
    """The files of the judges that a run was given."""

    def __init__(self, given: Mapping[str, Path | None] | None = None) -> None:
        self._given = dict(given or {})

    def listing(self) -> dict[str, str]:
        """Judge -> digest of the names and sizes of its files: quick to see whether a record used the same ones."""
        return {name: _listing(path, WEIGHTS[name]) for name, path in sorted(self._given.items())}

    def path(self, name: str, metric: str) -> Path:
        """The folder or file of judge `name`, downloaded where the hub was asked for.

        Raises:
            UsageError: where the run was given none, naming the option, the source and the licence.
        """
        info = WEIGHTS[name]
        if name not in self._given:
            way = f"{OPTION} {name}={HUB}, or =FOLDER" if info.on_hub else f"{OPTION} {name}=PATH; {info.note}"
            raise UsageError(f"{metric} needs the weights of {info.title}: {way} ({info.source}, {info.licence})")
        path = self._given[name]
        if path is None:
            path = self._given[name] = _download(info)
        return path

    def hash(self, name: str, metric: str) -> str:
        """sha256 over the files that are read.

        Raises:
            WeightsError: where a file is missing, or is not the one that is pinned.
        """
        path, info = self.path(name, metric), WEIGHTS[name]
        if name not in self._hashes:
            self._hashes[name] = _hash(path, info)
        return self._hashes[name]

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return {}


def files_of(path: Path, info: WeightsInfo) -> list[Path]:
    """The files of `path` that a judge reads, by name; `path` itself where it is a file.

    Raises:
        WeightsError: where there is none, or only a pickle.
    """
    if path.is_file():
        files = [path]
    else:
        files = sorted(item for item in path.iterdir() if any(fnmatch.fnmatch(item.name, p) for p in info.files))
    weights = [item for item in files if item.suffix == ".safetensors" or item.name in info.files]
    if info.sha256 is None:
        weights = [item for item in files if item.suffix == ".safetensors"]
    if not weights:
        pickles = sorted(path.glob("*.[pb][tiy]*")) if path.is_dir() else files
        why = f"{pickles[0].name} is a pickle, which can run any code; {_CONVERT}" if pickles else "no such file there"
        raise WeightsError(f"{path}: {info.name} needs {info.files[0] if info.sha256 else '*.safetensors'} ({why})")
    return files


def _hash(path: Path, info: WeightsInfo) -> str:
    files = files_of(path, info)
    if info.sha256 is not None:
        found = file_hash(files[0])
        if found != info.sha256:
            raise WeightsError(
                f"{files[0]}: sha256 {found[:12]} is not the published {info.sha256[:12]}; download {info.source} again"
            )
        return found
    digest = hashlib.sha256()
    for item in files:
        digest.update(f"{item.name}\0{file_hash(item)}\n".encode())
    return digest.hexdigest()


def _listing(path: Path | None, info: WeightsInfo) -> str:
    if path is None:
        return HUB
    names = [f"{item.name}\0{item.stat().st_size}" for item in files_of(path, info)]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]


def _download(info: WeightsInfo) -> Path:
    from huggingface_hub import snapshot_download

    try:
        # the hash of the files is part of every score's protocol
        return Path(snapshot_download(info.source, allow_patterns=list(info.files)))  # nosec B615
    except Exception as error:  # the hub's own errors have no common base
        first = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"{info.source} cannot be downloaded ({first}); give a folder: {OPTION} {info.name}=FOLDER"
        ) from error
