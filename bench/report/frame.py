"""Records -> groups of cells that may stand side by side, and one tidy pandas frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from bench.errors import RecordError, UsageError
from bench.record import Cell, Quantity, Record, read_records
from bench.report.naming import safe_name

TIDY_COLUMNS = (
    "suite", "method", "num_inference_steps", "guidance_scale", "seed", "quantity", "value", "ci_low", "ci_high", "n",
    "unit", "higher_is_better",
)  # fmt: skip
"""The columns that every tidy table of results starts with: one row a (cell, quantity)."""


OFF_RECIPE = " (off recipe)"


@dataclass(frozen=True)
class GroupKey:
    """What cells must share to be in one table. Method, steps and guidance are what a table compares."""

    suite: str
    limit: int
    seed: int
    device: str
    dtype: str
    batch_size: int
    images_per_prompt: int = 1
    setting: str = ""  # size and mode, where they are not the checkpoint's own and eager

    @property
    def title(self) -> str:
        """One line for people: `shapes · 1,000 prompts · seed 0 · cpu float32 · batches of 64`."""
        place = f"{self.device} {self.dtype} · batches of {self.batch_size:,}"
        several = "" if self.images_per_prompt == 1 else f" · {self.images_per_prompt} images a prompt"
        setting = f" · {self.setting}" if self.setting else ""
        return f"{self.suite} · {self.limit:,} prompts{several} · seed {self.seed} · {place}{setting}"

    @property
    def slug(self) -> str:
        """The same as a file name part."""
        several = "" if self.images_per_prompt == 1 else f"-k{self.images_per_prompt}"
        setting = f"-{self.setting}".replace(" ", "") if self.setting else ""
        place = f"{self.device}-{self.dtype}-b{self.batch_size}"
        return safe_name(f"{self.suite}-n{self.limit}{several}-s{self.seed}-{place}{setting}".replace(":", ""))


@dataclass(frozen=True, eq=False)  # itself only, so that what is made of it can be remembered
class Group:
    """The cells of one key: `measured` by steps, then method; `missing` are the failed and unsupported ones.

    `slug` is part of file names: the suite alone for the largest group of a suite, so that what links to its figures
    still does when smaller groups join.
    """

    key: GroupKey
    slug: str
    measured: tuple[Record, ...]
    missing: tuple[Record, ...]

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of all measured quantities, sorted."""
        return tuple(sorted({quantity.name for record in self.measured for quantity in record.quantities}))


def label(cell: Cell) -> str:
    """The method as a series is called: its name and family, with the guidance scale where one was asked for.

    What departs from its recipe says so wherever it is shown.
    """
    guidance = "" if cell.guidance_scale is None else f" g={cell.guidance_scale:g}"
    return f"{method_name(cell)}{guidance}{OFF_RECIPE if cell.off_recipe else ''}"


def series(cell: Cell) -> str:
    """The same without the guidance scale, for tables that have a column for it."""
    return f"{method_name(cell)}{OFF_RECIPE if cell.off_recipe else ''}"


def method_name(cell: Cell) -> str:
    """The method, with its family and its variant where it has them: `add`, `lcm@sdxl`, `add [seed 1]`."""
    placed = cell.method if cell.family is None else f"{cell.method}@{cell.family}"
    return f"{placed} [{cell.variant}]" if cell.variant else placed


def steps_text(steps: int) -> str:
    """`1 step`, `4 steps`."""
    return f"{steps} step" if steps == 1 else f"{steps} steps"


def load(results: Path) -> tuple[Record, ...]:
    """All records of a results folder, checked for comparability.

    Raises:
        UsageError: where there is no record at all.
        RecordError: where a record cannot be read, or two scores that would stand side by side differ in protocol.
    """
    folder = results / "records"
    records = tuple(read_records(folder)) if folder.is_dir() else ()
    if not records:
        raise UsageError(f"no records in {folder}; make some with `python -m bench run --out {results}`")
    return records


def groups(records: Iterable[Record]) -> tuple[Group, ...]:
    """Split records into groups that may be compared, the largest first.

    Ablations, further training seeds and students kept on the way stand in tables of their own, and are left out here.

    Raises:
        RecordError: where scores of one group differ in protocol, naming the field.
    """
    by_key: dict[GroupKey, list[Record]] = {}
    for record in (record for record in records if not record.cell.variant):
        by_key.setdefault(_key(record.cell), []).append(record)
    found = [_group(key, members) for key, members in by_key.items()]
    found.sort(key=lambda group: (-len(group.measured), group.key.title))
    for group in found:
        check_protocols(group.measured)
    return tuple(_with_short_names(found))


def _with_short_names(found: Sequence[Group]) -> Iterator[Group]:
    """The first group of each suite is called by the suite alone."""
    suites: set[str] = set()
    for group in found:
        first = group.key.suite not in suites
        suites.add(group.key.suite)
        yield replace(group, slug=safe_name(group.key.suite)) if first else group


def check_protocols(records: Sequence[Record]) -> None:
    """Refuse records of which two share a quantity but not its protocol, unit or direction.

    Raises:
        RecordError: naming the quantity, the two cells, the field and both its values.
    """
    first: dict[str, tuple[Cell, Quantity]] = {}
    for record in records:
        for quantity in record.quantities:
            cell, earlier = first.setdefault(quantity.name, (record.cell, quantity))
            for field, was, now in differing_fields(earlier, quantity):
                raise RecordError(
                    f"{quantity.name} of {cell.name} and {record.cell.name} cannot be compared: protocol field "
                    f"'{field}' is {was!r} and {now!r}; run one of them again with --force, or report them separately"
                )


def tidy(records: Iterable[Record]) -> pd.DataFrame:
    """One row a (cell, quantity), in the order of `TIDY_COLUMNS`, then `record`: the cell's name."""
    rows = [_row(record, quantity) for record in records for quantity in record.quantities]
    frame = pd.DataFrame(rows, columns=[*TIDY_COLUMNS, "record"])
    order = ["suite", "num_inference_steps", "method", "record", "quantity"]
    return frame.sort_values(order, kind="stable", ignore_index=True)


def _row(record: Record, quantity: Quantity) -> tuple[object, ...]:
    cell = record.cell
    return (
        cell.suite, series(cell), cell.num_inference_steps, cell.guidance_scale, cell.seed, quantity.name,
        quantity.value, quantity.ci_low, quantity.ci_high, quantity.n, quantity.unit, quantity.higher_is_better,
        cell.name,
    )  # fmt: skip


def _key(cell: Cell) -> GroupKey:
    size = "" if cell.height is None else f"{cell.height} x {cell.width} "
    setting = f"{size}{'' if cell.mode == 'eager' else cell.mode}".strip()
    place = (cell.device, cell.dtype, cell.batch_size)
    return GroupKey(cell.suite, cell.limit, cell.seed, *place, cell.images_per_prompt, setting)


def _group(key: GroupKey, records: Sequence[Record]) -> Group:
    ordered = sorted(records, key=_order)
    return Group(
        key=key,
        slug=key.slug,
        measured=tuple(record for record in ordered if record.status == "ok"),
        missing=tuple(record for record in ordered if record.status != "ok"),
    )


def _order(record: Record) -> tuple[int, str, float]:
    cell = record.cell
    return cell.num_inference_steps, series(cell), -1.0 if cell.guidance_scale is None else cell.guidance_scale


def differing_fields(one: Quantity, other: Quantity) -> Iterator[tuple[str, object, object]]:
    """(field, value, other value) of everything that two scores must share and do not, sorted by field."""
    fields: dict[str, tuple[object, object]] = {
        "unit": (one.unit, other.unit),
        "higher_is_better": (one.higher_is_better, other.higher_is_better),
    }
    fields |= {name: (one.protocol.get(name), other.protocol.get(name)) for name in {*one.protocol, *other.protocol}}
    for name, (was, now) in sorted(fields.items()):
        if was != now:
            yield name, was, now
