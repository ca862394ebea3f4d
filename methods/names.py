"""Lazy name tables: a name stands for `module:attribute` and a one-line summary, and nothing is imported to list them.

Other packages add names by entry points. Used for methods, metrics and suites alike.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from methods.errors import FewstepError, UsageError


@dataclass(frozen=True)
class Entry:
    """One line of a table: `target` is `module:attribute`, `source` the distribution of a third party's entry."""

    target: str
    summary: str
    source: str | None = None


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
            FewstepError: where its module or attribute cannot be imported.
        """
        target = self.entry(name).target
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise FewstepError(f"{self.kind} {name!r} cannot be loaded from {target}: {error}") from error

    @cached_property
    def _entries(self) -> Mapping[str, Entry]:
        entries = dict(self._own)
        for point in sorted(entry_points(group=self.group), key=lambda point: point.name):
            other = _from_entry_point(point)
            if point.name in entries:
                raise FewstepError(
                    f"{self.kind} {point.name!r} is defined twice: {entries[point.name].target} and {other.target}"
                    f" ({other.source}); uninstall or rename one of them"
                )
            entries[point.name] = other
        return entries


def _from_entry_point(point: EntryPoint) -> Entry:
    source = point.dist.name if point.dist is not None else "another package"
    return Entry(point.value, f"from {source}", source)
