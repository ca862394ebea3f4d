"""Lazy name tables: a name stands for `module:attribute` and a one-line summary, and nothing is imported to list them.

Other packages add names by entry points. One that cannot be used is named, and does not stop the others: it is listed
with what is wrong, and raises when it is asked for. Used for methods, metrics and suites alike.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from methods.errors import FewstepError, UsageError

Base = TypeVar("Base")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Entry:
    """One line of a table: `target` is `module:attribute`, `source` the distribution of a third party's entry.

    `problem` is why the entry cannot be used, as far as that is known without importing it.
    """

    target: str
    summary: str
    source: str | None = None
    problem: str | None = None


class NameTable:
    """Names of one kind ("method", "metric", "suite"), their summaries, and the objects behind them, made on demand.

    Args:
        kind: What the names are, in the singular; it appears in error messages and in `bench list`.
        entries: Name -> (`module:attribute`, one-line summary).
        group: Entry point group in which other packages may add names.
    """

    def __init__(self, kind: str, entries: Mapping[str, tuple[str, str]], group: str) -> None:
        self.kind = kind
        self.group = group
        self._own = {name: Entry(target, summary) for name, (target, summary) in entries.items()}

    def names(self) -> tuple[str, ...]:
        """All names: this package's in the order of the table, then other packages' in alphabetical order."""
        return tuple(self._entries)

    def summary(self, name: str) -> str:
        """One line about `name`.

        Raises:
            UsageError: for an unknown name.
        """
        return self.entry(name).summary

    def entry(self, name: str) -> Entry:
        """The entry of `name`.

        Raises:
            UsageError: for an unknown name; the message has the nearest known one.
        """
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(name.lower(), self._entries, n=1, cutoff=0.5)
        near = near or [known for known in self._entries if name and known.startswith(name.lower())]
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"unknown {self.kind} {name!r}{hint} (`bench list {self.kind}s` shows all)")

    def load(self, name: str) -> Any:
        """Import and return the object behind `name`.

        Raises:
            UsageError: for an unknown name.
            FewstepError: where its module or attribute cannot be imported, or another package's import fails.
        """
        entry = self.entry(name)
        if entry.problem is not None:
            raise FewstepError(f"{self.kind} {name!r} {entry.problem}")
        module, _, attribute = entry.target.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
            return found
        except Exception as error:
            if entry.source is None and not isinstance(error, ImportError | AttributeError):
                raise
            origin = f" ({entry.source})" if entry.source else ""
            reason = str(error) or type(error).__name__
            raise FewstepError(
                f"{self.kind} {name!r} cannot be loaded from {entry.target}{origin}: {reason}"
            ) from error

    def load_subclass(self, name: str, base: type[Base]) -> type[Base]:
        """The class behind `name`, whole and of the right kind.

        Raises:
            UsageError: for an unknown name.
            FewstepError: as `load`, and for what is no subclass of `base` or leaves out a method of it.
        """
        found = self.load(name)
        where = f"{self.kind} {name!r} ({self.entry(name).source or self.entry(name).target})"
        if not isinstance(found, type) or not issubclass(found, base):
            raise FewstepError(f"{where} is not a subclass of {base.__module__}.{base.__name__}")
        if missing := sorted(getattr(found, "__abstractmethods__", ())):
            raise FewstepError(f"{where} does not define {missing[0]}")
        return found

    @cached_property
    def _entries(self) -> Mapping[str, Entry]:
        entries = dict(self._own)
        for point in sorted(entry_points(group=self.group), key=lambda point: point.name):
            other = _from_entry_point(point)
            known = entries.get(point.name)
            entries[point.name] = other if known is None else replace(known, problem=_clash(known, other))
        return entries


def _clash(known: Entry, other: Entry) -> str:
    return (
        f"is defined twice: {known.target} ({known.source or 'fewstep-bench'}) and {other.target} ({other.source});"
        " uninstall or rename one of them"
    )


def _from_entry_point(point: EntryPoint) -> Entry:
    if point.dist is None:
        source, summary = "another package", ""
    else:
        source = f"{point.dist.name} {point.dist.version}"
        summaries = point.dist.metadata.get_all("Summary") or [""]
        summary = next(iter(summaries[0].splitlines()), "")
    return Entry(point.value, summary or f"from {source}", source, _problem(point, source))


def _problem(point: EntryPoint, source: str) -> str | None:
    """What is wrong with an entry point, seen without importing anything of its package."""
    if _NAME.fullmatch(point.name) is None:
        return f"of {source} has a name that cannot be asked for; letters, digits, '-', '_' and '.' can"
    module, colon, attribute = point.value.partition(":")
    if not colon or not attribute.strip():
        return f"of {source} is {point.value!r}; write MODULE:CLASS in its entry points"
    top = module.strip().partition(".")[0]
    try:
        found = importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        found = False
    return None if found else f"of {source} cannot be loaded: there is no module {top!r}; install that package again"
