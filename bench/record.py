"""Records: one JSON file a cell, written atomically, the only thing that reports, the gate and the study read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from bench.columns import pack, unpack
from bench.errors import RecordError
from bench.record_check import check_record
from bench.text import redacted
from methods.jsonfile import read_json

SCHEMA = 1
Status = Literal["ok", "failed", "unsupported"]


@dataclass(frozen=True)
class Cell:
    """What was asked for: everything that may change an image or a number of the record.

    Fields with a default stand in the file and in the name only where they differ from it, so that a field that is
    added later renames no cell.
    """

    suite: str
    method: str
    num_inference_steps: int
    guidance_scale: float | None  # None: the recipe's own
    seed: int
    limit: int
    device: str
    dtype: str
    batch_size: int
    images_per_prompt: int = 1
    height: int | None = None  # None: the checkpoint's own
    width: int | None = None
    mode: str = "eager"  # how the networks are run, see bench.latency.modes
    family: str | None = None  # of released checkpoints; None: the suite's own
    off_recipe: bool = False  # it departs from the recipe of its model card, and was let through
    ablation: str | None = None  # the row of the paper's Table 1 that its student is trained as
    train_seed: int = 0  # the seed that its student was trained with
    snapshot: str | None = None  # the share of its training after which the student was kept, such as 1/8

    @property
    def stated(self) -> dict[str, Any]:
        """Its fields as JSON data, without those that are at their default."""
        values = ((item, getattr(self, item.name)) for item in fields(self))
        return {item.name: value for item, value in values if item.default is MISSING or value != item.default}

    @property
    def variant(self) -> str:
        """What its student departs in from the one that the suite ships, in words; empty where it does not."""
        seed = "" if self.train_seed == 0 else f"training seed {self.train_seed}"
        kept = "" if self.snapshot is None else f"after {self.snapshot} of its training"
        return ", ".join(part for part in (self.ablation, kept, seed) if part)

    @cached_property
    def name(self) -> str:
        """A file name stem, unique within one output folder: `add-1-n1000-3f2a1c`, guidance and seed in it if given."""
        guidance = "" if self.guidance_scale is None else f"-g{self.guidance_scale:g}"
        seed = "" if self.seed == 0 else f"-s{self.seed}"
        several = "" if self.images_per_prompt == 1 else f"-k{self.images_per_prompt}"
        digest = hashlib.sha256(json.dumps(self.stated, sort_keys=True).encode()).hexdigest()[:6]
        family = "" if self.family is None else f"-{self.family}"
        ablation = "" if self.ablation is None else f"-{self.ablation}"
        trained = "" if self.train_seed == 0 else f"-t{self.train_seed}"
        kept = "" if self.snapshot is None else f"-of{self.snapshot.replace('/', '_')}"
        family += ablation + trained + kept
        return f"{self.method}{family}-{self.num_inference_steps}{guidance}{seed}-n{self.limit}{several}-{digest}"


@dataclass(frozen=True)
class Quantity:
    """One row of the results: a value with its interval, its n and its protocol."""

    name: str
    value: float
    ci_low: float
    ci_high: float
    n: int
    unit: str
    higher_is_better: bool
    protocol: Mapping[str, str | int | float]
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def protocol_hash(self) -> str:
        """12 hexadecimal digits of the protocol, unit and direction: equal where two scores may stand side by side."""
        whole = {**self.protocol, "unit": self.unit, "higher_is_better": self.higher_is_better}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Record:
    """A measured, failed or unsupported cell.

    `per_image` maps a quantity to one number an image, in prompt order, for paired comparisons; `samples` holds raw
    measurements such as every latency; `provenance` says what made the record (commit, versions, machine, weights).
    `clusters` is the number of its prompt for each entry of a `per_image` list, empty where each prompt has one image.
    """

    cell: Cell
    status: Status
    reason: str | None
    quantities: tuple[Quantity, ...]
    per_image: Mapping[str, tuple[float, ...]]
    samples: Mapping[str, tuple[float, ...]]
    provenance: Mapping[str, Any]
    schema: int = SCHEMA
    clusters: tuple[int, ...] = ()

    def quantity(self, name: str) -> Quantity | None:
        """The quantity of that name, or None."""
        return next((quantity for quantity in self.quantities if quantity.name == name), None)

    def per_prompt(self, name: str) -> tuple[float, ...]:
        """One number a prompt, in prompt order: the mean over the images of the prompt, which are not independent.

        Values that do not come one an image stay as they are.
        """
        values = self.per_image[name]
        if len(values) != len(self.clusters):
            return values
        by_prompt: dict[int, list[float]] = {}
        for cluster, value in zip(self.clusters, values, strict=True):
            by_prompt.setdefault(cluster, []).append(value)
        return tuple(fmean(by_prompt[cluster]) for cluster in sorted(by_prompt))


def write_record(record: Record, folder: Path) -> Path:
    """Write `folder/<cell name>.json`, whole or not at all: an item a line, long lists packed, a digest of it all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.cell.name}.json"
    unfinished = path.with_suffix(".json.partial")
    data = asdict(record) | {"cell": record.cell.stated, "clusters": pack(record.clusters)}
    data["per_image"] = {name: pack(values) for name, values in record.per_image.items()}
    data = json.loads(redacted(json.dumps(data, allow_nan=False)))
    data["digest"] = _digest(data)
    unfinished.write_text(_text(data), encoding="utf-8")
    os.replace(unfinished, path)
    return path


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        RecordError: where the file is not a record of this schema, or was changed after it was written.
    """
    try:
        data = read_json(path)
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else None
            raise RecordError(
                f"{path}: schema {found}, this version reads schema {SCHEMA}; run the cell again with --force"
            )
        digest = data.pop("digest", None)  # records of earlier versions have none
        if digest is not None and digest != _digest(data):
            raise RecordError(
                f"{path}: changed after it was written (its digest is {digest[:12]}…, its content's "
                f"{_digest(data)[:12]}…); take it from where it came, or run the cell again with --force"
            )
        return record_from_json(data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordError(f"{path}: not a record ({error}); delete it or run the cell again with --force") from error


def read_records(folder: Path) -> Iterator[Record]:
    """All records of `folder`, in the order of their names."""
    for path in sorted(folder.glob("*.json")):
        yield read_record(path)


def record_from_json(data: Mapping[str, Any]) -> Record:
    """The record that JSON data holds.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: where they hold none.
    """
    known = {item.name for item in fields(Record)}
    if unknown := set(data) - known:
        raise ValueError(f"unknown fields {', '.join(sorted(unknown))}")
    record = Record(
        cell=Cell(**data["cell"]),
        status=data["status"],
        reason=data["reason"],
        quantities=tuple(Quantity(**item) for item in data["quantities"]),
        per_image={name: unpack(values) for name, values in data["per_image"].items()},
        samples={name: tuple(values) for name, values in data["samples"].items()},
        provenance=data["provenance"],
        schema=data["schema"],
        clusters=tuple(map(int, unpack(data.get("clusters", [])))),
    )
    check_record(record)
    return record


def _digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of everything in the file but the digest, however it is spaced."""
    text = json.dumps(data, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _text(data: Mapping[str, Any]) -> str:
    """JSON for people too: a line for each entry of each field."""
    fields = (f" {json.dumps(name)}: {_lines(value)}" for name, value in sorted(data.items()))
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _lines(value: Any) -> str:
    compact = partial(json.dumps, sort_keys=True, allow_nan=False, separators=(",", ":"))
    if isinstance(value, Mapping) and value and "packed" not in value:
        return (
            "{\n"
            + ",\n".join(f"  {json.dumps(name)}: {compact(item)}" for name, item in sorted(value.items()))
            + "\n }"
        )
    if isinstance(value, (list, tuple)) and value:
        return "[\n" + ",\n".join(f"  {compact(item)}" for item in value) + "\n ]"
    return compact(value)
