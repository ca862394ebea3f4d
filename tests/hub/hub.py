"""A model hub on this machine: a server that answers as the real one does, and caches laid out as its library does."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

REPO = "someone/tiny-xl"
LARGE = 100
"""Bytes from which a file is kept as the hub keeps large ones: with its sha256."""


def safetensors(shapes: Mapping[str, tuple[int, ...]], dtype: str = "F16", fill: int = 0) -> bytes:
    """A safetensors file, written here and by nobody's library."""
    width = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I8": 1, "F8_E4M3": 1}[dtype]
    header, end = {}, 0
    for name, shape in shapes.items():
        size = width
        for side in shape:
            size *= side
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes([fill]) * end


def pipeline_files(seed: int = 0) -> dict[str, bytes]:
    """A pipeline as the hub holds it: half and full precision, pickles, ONNX, programs, a read-me."""
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionXLPipeline",
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "requires_safety_checker": True,
    }
    half = {part: safetensors({f"{part}.weight": (64, 8)}, fill=seed) for part in ("unet", "text_encoder")}
    full = {part: safetensors({f"{part}.weight": (64, 8)}, "F32", fill=seed) for part in (*half, "vae", "checker")}
    return {
        "model_index.json": json.dumps(index).encode(),
        "scheduler/scheduler_config.json": b"{}",
        "tokenizer/vocab.json": b"{}",
        "tokenizer/merges.txt": b"#version: 0.2\n",
        "text_encoder/config.json": b"{}",
        "text_encoder/model.safetensors": full["text_encoder"],
        "text_encoder/model.fp16.safetensors": half["text_encoder"],
        "text_encoder/pytorch_model.bin": b"pickle",
        "text_encoder/model.onnx": b"onnx" * 99,
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": full["unet"],
        "unet/diffusion_pytorch_model.fp16.safetensors": half["unet"],
        "vae/config.json": b"{}",
        "vae/diffusion_pytorch_model.safetensors": full["vae"],
        "safety_checker/model.safetensors": full["checker"],
        "README.md": b"# a card",
        "pipeline.py": b"raise SystemExit('code of a checkpoint has run')",
    }


def commit_of(files: Mapping[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted((name, sha(data)) for name, data in files.items())).encode()).hexdigest()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_cache(cache: Path, repo: str, files: Mapping[str, bytes], revision: str = "main") -> Path:
    """Lay out `files` as the hub's library would have, and return the folder of the snapshot."""
    commit = commit_of(files)
    root = cache / ("models--" + repo.replace("/", "--"))
    (root / "refs").mkdir(parents=True, exist_ok=True)
    (root / "refs" / revision).write_text(commit)
    snapshot = root / "snapshots" / commit
    for name, data in files.items():
        blob = root / "blobs" / (sha(data) if len(data) >= LARGE else hashlib.sha1(data).hexdigest())
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return snapshot


def folder_files(folder: Path) -> dict[str, bytes]:
    """The files of a folder, to be served or cached."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@dataclass
class FakeHub:
    """Models by name, each with its branches and commits; `gated` ones are refused; `cut` files end half way."""

    models: dict[str, dict[str, Mapping[str, bytes]]] = field(default_factory=dict)
    branches: dict[str, dict[str, str]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    lies: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, repo: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Put a commit on a branch."""
        commit = commit_of(files)
        self.models.setdefault(repo, {})[commit] = files
        self.branches.setdefault(repo, {})[branch] = commit
        return commit

    def commit(self, repo: str, revision: str) -> str | None:
        found = self.branches.get(repo, {}).get(revision, revision)
        return found if found in self.models.get(repo, {}) else None

    def fetched(self, part: str) -> list[str]:
        """The requests for content of files whose name holds `part`."""
        return [line for line in self.asked if line.startswith("GET") and "/resolve/" in line and part in line]

    def start(self) -> tuple[str, ThreadingHTTPServer]:
        hub = self

        class Handler(_Handler):
            owner = hub

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}", server


class _Handler(BaseHTTPRequestHandler):
    owner: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlparse(self.path).path)
        self.owner.asked.append(f"{self.command} {path} {self.headers.get('Range') or ''}".strip())
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._list(found[1], found[2] or "main")
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._send_file(found[1], found[2], found[3], body=body)
        else:
            self._refuse(404, "EntryNotFound")

    def _list(self, repo: str, revision: str) -> None:
        commit = self.owner.commit(repo, revision)
        if repo not in self.owner.models:
            self._refuse(401, "RepoNotFound")
        elif commit is None:
            self._refuse(404, "RevisionNotFound")
        else:
            files = self.owner.models[repo][commit]
            siblings = [_sibling(name, data) for name, data in files.items()]
            gated = "manual" if repo in self.owner.gated else False
            self._send(200, json.dumps({"id": repo, "sha": commit, "gated": gated, "siblings": siblings}).encode(), {})

    def _send_file(self, repo: str, revision: str, name: str, *, body: bool) -> None:
        commit = self.owner.commit(repo, revision)
        if repo in self.owner.gated:
            self._refuse(403, "GatedRepo")
            return
        if commit is None or name not in self.owner.models[repo][commit]:
            self._refuse(404, "EntryNotFound" if commit else "RevisionNotFound")
            return
        data = self.owner.models[repo][commit][name]
        digest = sha(data) if len(data) >= LARGE else hashlib.sha1(data).hexdigest()
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        data = self.owner.lies.get(name, data)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start and name in self.owner.cut:
            self._refuse(503, "Down")
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        part = data[start:]
        stop = len(part) // 2 if name in self.owner.cut else len(part)
        self._send(206 if start else 200, part, headers, stop if body else 0)

    def _send(self, status: int, data: bytes, headers: Mapping[str, str], stop: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[:stop])
        if stop is not None and 0 < stop < len(data):
            self.close_connection = True
            self.wfile.flush()

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": code})


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
    if len(data) >= LARGE:
        found["lfs"] = {"sha256": sha(data), "size": len(data), "pointerSize": 130}
    return found
