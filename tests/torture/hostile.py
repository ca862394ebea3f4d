"""Inputs that somebody made to do harm, for every parser: by hand where the harm is known, by chance around that."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet

from tests.torture.targets import RECORD

TEXTS = (
    "../../etc/passwd", "..", "/etc/passwd", "a/../../b", "C:\\Windows\\x", "a\x00b", "\x1b]0;owned\x07\x1b[31mred",
    "=cmd|'/C calc'!A0", "+1+1", "@SUM(A1)", "-2+3", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
    "{{7*7}}", "${jndi:ldap://x}", "$(touch owned)", "`touch owned`", "%s%n", "\u202etxt.exe", "\ufeff", "\ud800",
    "\udcff", "x" * 20_000, "a\nb\nerror: all is well", "\r\n", "", " ", "~nobody/x", "nan", "CON", "-rf", "💣" * 500,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    *TEXTS, None, True, -1, 0, 2**63, 10**300, -0.0, 1e308, [], {}, [[]], {"a": {"b": [1]}}, [None] * 50,
)  # fmt: skip
RAW = (
    b"", b"\x00", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 50_000, b"NaN", b"1e999",
    b'{"schema": NaN}', b"9" * 10_000, b"\xef\xbb\xbf{}", b"\x80\x04\x95pickle.", b"PK\x03\x04", b"\x1f\x8b\x08\x00",
    b"%!PS-Adobe-3.0 EPSF-3.0\n(touch owned) system\n", b"<svg/onload=alert(1)>", b"\x93NUMPY", b"\r\n" * 1000,
)  # fmt: skip


def changed(tree: Any, draw: st.DrawFn) -> Any:
    """`tree` with one of its values replaced by a hostile one, one of its keys renamed, or one taken out."""
    tree = json.loads(json.dumps(tree))
    place, parents = tree, []
    while isinstance(place, dict | list) and place and (not parents or draw(st.integers(0, 3)) > 0):
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = draw(st.sampled_from(list(keys)))
        parents.append((place, key))
        place = place[key]
    if parents:
        parent, key = parents[-1]
        how = draw(st.sampled_from(["replace", "replace", "rename", "remove"]))
        if how == "replace" or not isinstance(parent, dict):
            parent[key] = draw(st.sampled_from(VALUES))
        elif how == "rename":
            parent[draw(st.sampled_from(TEXTS))] = parent.pop(key)
        else:
            del parent[key]
    return tree


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", errors="surrogatepass")


@st.composite
def json_like(draw: st.DrawFn, tree: Any) -> bytes:
    return as_json(changed(tree, draw))


@st.composite
def broken(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole`, cut short, or with bytes of it changed, or longer than it says."""
    if draw(st.booleans()):
        return whole[: draw(st.integers(0, len(whole)))]
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content) + draw(st.binary(max_size=20))


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG that says it is `width` x `height`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


IMAGES = (
    png(2**31 - 1, 2**31 - 1), png(100_000, 100_000), png(10_000, 10_000, b"\0" * 10**6), png(0, 0), png(4, 4),
    png(8, 8, (b"\0" + b"\x7f" * 24) * 8), b"GIF89a" + b"\xff" * 40, b"BM" + b"\xff" * 60,
)  # fmt: skip


def tar(members: Mapping[str, bytes], size: int | None = None) -> bytes:
    """A tar of `members`; each says that it is `size` bytes long where given."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content) if size is None else size
            archive.addfile(info, io.BytesIO(content + b"\0" * (info.size - len(content)) if size else content))
    return file.getvalue()


SHARDS = (
    tar({"../../a.png": b"x", "../../a.txt": b"y"}), tar({"/etc/a.png": b"x", "/etc/a.txt": b"y"}),
    tar({"a.png": b"x", "a.txt": b"\xff\xfe"}), tar({"a.png": b"x", "a.json": b"[" * 10_000}), tar({"a.png": b"x"}),
    tar({"a.png": b"x", "a.txt": b"y"}, 2**21), tar({"a\x1b[31m.png": b"x"}), tar({}),
)  # fmt: skip


def table(columns: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(dict(columns)), file)
    return file.getvalue()


PARQUETS = (
    table({"prompt": ["a", None]}), table({"prompt": [1, 2]}), table({"x": ["a"]}), table({"prompt": [["a"]]}),
    table({"prompt": ["a"], "id": ["../../b"]}), table({"prompt": ["x" * 20_000] * 3}), table({"prompt": [b"\xff"]}),
    table({"prompt": ["the same"] * 1_100_000}),
)  # fmt: skip
HEADER = {"a": {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]}, "__metadata__": {"format": "pt"}}


@st.composite
def safetensors(draw: st.DrawFn) -> bytes:
    text = as_json(changed(HEADER, draw))
    length = draw(st.sampled_from([len(text), 0, 2**63, 2**64 - 1, len(text) + 1]))
    return struct.pack("<Q", length) + text + b"\0" * 8


RECIPE = {"scheduler": "EulerDiscreteScheduler", "scheduler_config": {"shift": 1}, "timesteps": {"1": [999]},
          "guidance": "none", "allowed_steps": [1, 8], "height": None, "arguments": {}}  # fmt: skip
INDEX = {"_class_name": "StableDiffusionXLPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
         "vae": ["os", "system"], "auto_map": {"AutoModel": "evil.Model"}}  # fmt: skip
ROW = {"prompt": "a cat", "id": "1", "category": "all"}
LOCK = {"schema": 1, "repo": "a/b", "revisions": {"main": "0" * 40}, "commits": {"0" * 40: {"x": "y"}}}


def lines(value: Any) -> st.SearchStrategy[bytes]:
    return st.lists(json_like(value), min_size=1, max_size=3).map(b"\n".join)


def tables(delimiter: str) -> st.SearchStrategy[bytes]:
    value = st.sampled_from(TEXTS)
    rows = st.lists(st.lists(value, max_size=4), max_size=3)
    head = st.sampled_from(["prompt,id,category", "prompt", "id", "x" * 200_000, '"', "PROMPT, Id"])
    return st.tuples(head, rows).map(
        lambda found: "\n".join([found[0].replace(",", delimiter), *(delimiter.join(row) for row in found[1])]).encode(
            errors="surrogatepass"
        )
    )


def _texts() -> st.SearchStrategy[bytes]:
    made = st.one_of(
        st.sampled_from(TEXTS), st.lists(st.sampled_from([*TEXTS, "a", "/", "@", "=", "hub"])).map("".join)
    )
    return made.map(lambda text: text.encode(errors="surrogatepass"))


_OF: Mapping[str, st.SearchStrategy[bytes]] = {
    "record": json_like(RECORD),
    "prompts.txt": _texts(),
    "prompts.csv": tables(","),
    "prompts.tsv": tables("\t"),
    "prompts.jsonl": lines(ROW),
    "prompts.parquet": st.one_of(st.sampled_from(PARQUETS), broken(PARQUETS[0])),
    "stored prompts": json_like([{"id": "1", "text": "a", "category": "all"}]),
    "out folder": json_like({"schema": 1, "suite": "toy", "made_by": "x"}),
    "recipe": json_like(RECIPE),
    "model index": json_like(INDEX),
    "safetensors": safetensors(),
    "hub lock": json_like(LOCK),
    "family": json_like({"unet": {"sample_size": 1}, "vae": {"block_out_channels": [1]}}),
    "image": st.one_of(st.sampled_from(IMAGES), broken(IMAGES[5])),
    "reference image": st.one_of(st.sampled_from(IMAGES), broken(IMAGES[5])),
    "photograph": st.one_of(st.sampled_from(IMAGES), broken(IMAGES[5])),
    "shard": st.one_of(st.sampled_from(SHARDS), broken(SHARDS[0])),
    "metadata": lines({"file_name": "0.png", "text": "a"}),
    "caption": _texts(),
    "slices": lines({"index": 0, "seconds": 1.0, "at_once": 2, "place": "x"}),
    "weights option": _texts(),
    "judges option": _texts(),
}


def inputs(target: str) -> st.SearchStrategy[bytes]:
    """Hostile bytes for the target of that name; now and then such as are hostile to any parser."""
    return st.one_of(_OF[target], _OF[target], _OF[target], st.sampled_from(RAW), st.binary(max_size=100))
