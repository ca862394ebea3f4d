"""Every parser of what comes from outside, as a function of bytes; it refuses with a `FewstepError`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bench import architectures
from bench.folder import MARKER, OutFolder
from bench.fullscale.data import read_samples
from bench.fullscale.pictures import square
from bench.images import ImageStore
from bench.judging import Prompt
from bench.metrics.weights import parse_metric_weights
from bench.record import read_record
from bench.report.sheets import read_prompts
from bench.slices import SliceLog
from bench.suites.pictures import read_square
from bench.suites.prompts.rows import read_rows
from methods.hub import lock
from methods.hub.check import read_object
from methods.hub.headers import read_header
from methods.hub.reference import parse
from methods.hub.select import check_config, components
from methods.recipes import read_recipe

Target = Callable[[bytes, Path], object]
"""Parses bytes, which it may store in a folder of its own."""


def _file(name: str, read: Callable[[Path], object]) -> Target:
    def target(content: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(content)
        return read(path)

    return target


def _out_folder(content: bytes, folder: Path) -> object:
    (folder / MARKER).write_bytes(content)
    OutFolder(folder, "toy").check()
    return None


def _image(content: bytes, folder: Path) -> object:
    (folder / "0.png").write_bytes(content)
    return ImageStore(folder).read([Prompt("0", "text", "all")])


def _photograph(content: bytes, folder: Path) -> object:
    (folder / "0.png").write_bytes(content)
    (folder / "0.txt").write_text("a caption")
    (sample,) = read_samples(folder)
    return square(sample, sample.read(), 8)


def _metadata(content: bytes, folder: Path) -> object:
    (folder / "0.png").write_bytes(b"")
    (folder / "metadata.jsonl").write_bytes(content)
    return read_samples(folder)


def _caption(content: bytes, folder: Path) -> object:
    (folder / "0.png").write_bytes(b"")
    (folder / "0.txt").write_bytes(content)
    return read_samples(folder)


def _slices(content: bytes, folder: Path) -> object:
    (folder / "slices.jsonl").write_bytes(content)
    return SliceLog(folder).read()


def _pipeline(path: Path) -> object:
    data = read_object(path)
    check_config(data, "config")
    return components(data, "model")


def _lock(content: bytes, folder: Path) -> object:
    (folder / "lock").mkdir(exist_ok=True)
    (folder / "lock" / "a--b.json").write_bytes(content)
    return lock.locked_commit("a/b", "main")


def _text(read: Callable[[str], object]) -> Target:
    def target(content: bytes, _: Path) -> object:
        return read(content.decode("utf-8", errors="surrogateescape").replace("\0", ""))

    return target


TARGETS: Mapping[str, Target] = {
    "record": _file("record.json", read_record),
    "prompts.txt": _file("prompts.txt", read_rows),
    "prompts.csv": _file("prompts.csv", read_rows),
    "prompts.tsv": _file("prompts.tsv", read_rows),
    "prompts.jsonl": _file("prompts.jsonl", read_rows),
    "prompts.parquet": _file("prompts.parquet", read_rows),
    "stored prompts": _file("prompts.json", lambda path: read_prompts(path.parent)),
    "out folder": _out_folder,
    "recipe": _file("recipe.json", lambda path: read_recipe(path.parent)),
    "model index": _file("model_index.json", _pipeline),
    "safetensors": _file("model.safetensors", read_header),
    "hub lock": _lock,
    "family": _file("family.json", lambda path: architectures.load(str(path))),
    "image": _image,
    "reference image": _file("0.jpg", lambda path: read_square(path, 8)),
    "photograph": _photograph,
    "shard": _file("shard.tar", read_samples),
    "metadata": _metadata,
    "caption": _caption,
    "slices": _slices,
    "weights option": _text(parse),
    "judges option": _text(lambda text: parse_metric_weights([text])),
}

RECORD = {
    "schema": 1,
    "cell": {
        "suite": "toy", "method": "add", "num_inference_steps": 1, "guidance_scale": None, "seed": 0, "limit": 2,
        "device": "cpu", "dtype": "float32", "batch_size": 5,
    },
    "status": "ok",
    "reason": None,
    "quantities": [
        {
            "name": "fd", "value": 1.0, "ci_low": 0.5, "ci_high": 1.5, "n": 2, "unit": "", "higher_is_better": False,
            "protocol": {"extractor": "x"}, "parts": {},
        }
    ],
    "per_image": {"fd": [1.0, 2.0]},
    "samples": {"latency_s": [0.1]},
    "provenance": {"versions": {}},
    "clusters": [],
}  # fmt: skip
