"""Ordinary pipeline folders made of links: a model from the hub, a denoiser or a LoRA put onto its base.

A view holds the files under the names that stock `from_pretrained` looks for, and a `manifest.json` with the sha256
that was recorded of each. Nothing is copied, and everything that reads a pipeline folder reads a view.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from methods.errors import WeightsError
from methods.hub.making import make_folder
from methods.hub.places import cache_folder
from methods.jsonfile import read_json

MANIFEST = "manifest.json"
SOURCES = "sources.json"
HASHED = (".safetensors",)


@dataclass
class View:
    """A folder to be: what each file in it links to, with the sha256 of each; some files are written instead.

    `sources` says where the files come from: model, commit, and the file where it is one.
    """

    links: dict[str, Path] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    sources: list[Mapping[str, Any]] = field(default_factory=list)

    def link(self, name: str, path: Path, digest: str) -> None:
        """Have `name` link to `path`."""
        self.texts.pop(name, None)
        self.links[name] = path.resolve()
        self.hashes[name] = digest

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Have `name` hold a JSON object."""
        self.links.pop(name, None)
        self.texts[name] = json.dumps(value, indent=2, sort_keys=True) + "\n"
        self.hashes[name] = hashlib.sha256(self.texts[name].encode()).hexdigest()

    def drop(self, prefix: str) -> None:
        """Leave out everything whose name begins with `prefix`."""
        for names in (self.links, self.hashes, self.texts):
            for name in [name for name in names if name.startswith(prefix)]:
                del names[name]

    def folder(self, title: str) -> Path:
        """The folder, made unless it is there.

        Raises:
            WeightsError: where the cache cannot be written.
        """
        content = json.dumps([sorted(self.hashes.items()), sorted((n, str(p)) for n, p in self.links.items())])
        name = f"{title.replace('/', '--')}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        return make_folder(cache_folder() / "views" / name, self._fill)

    def _fill(self, folder: Path) -> None:
        for name, path in self.links.items():
            place(path, folder / name)
        hashes = {name: digest for name, digest in self.hashes.items() if name.endswith(HASHED)}
        written = {MANIFEST: {"sha256": hashes}, SOURCES: {"sources": list(self.sources)}}
        texts = {name: json.dumps(value, indent=1, sort_keys=True) + "\n" for name, value in written.items()}
        for name, text in {**self.texts, **texts}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def place(path: Path, target: Path) -> None:
    """Link `target` to `path`; a copy where the system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(path.resolve())
    except OSError:
        shutil.copyfile(path, target)


def view_of_folder(folder: Path) -> View:
    """A view of everything in a pipeline folder that is there already.

    Raises:
        WeightsError: where it is no folder.
    """
    from methods.hub.hashes import sha256_of

    if not folder.is_dir():
        raise WeightsError(f"{folder}: not a folder; the base of a denoiser or a LoRA is a pipeline folder")
    view = View(sources=sources_of(folder))
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in (MANIFEST, SOURCES):
            view.link(name, path, sha256_of(path))
    return view


def sources_of(folder: Path) -> list[Mapping[str, Any]]:
    """Where the files of a view come from; nothing for a folder that is no view."""
    try:
        data = read_json(folder / SOURCES)
        return list(data["sources"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
