"""The page: one static `index.html` that works from disk, and a page for each method beside it."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, UnidentifiedImageError

from bench.report.breakdown import Breakdown
from bench.report.data_tables import ShownTable, shown_frame
from bench.report.group_part import group_part
from bench.report.method_pages import method_links, method_pages
from bench.report.sections import DataTable, Figure, Material, Prose, Section
from bench.report.sources import METHODS, cell_link
from bench.report.tables import HOW_MARKED, JUDGES, Table

GENERATOR = '<meta name="generator" content="fewstep-bench report">'
"""Stands in every page that this project writes, so that no other page is ever overwritten."""

MOST_ROWS = 600
"""Rows of a kind of table on the index, all groups together, so that it opens at once; other files have the rest."""

_FEWEST_ROWS = 20  # of a group, however many groups there are
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Further:
    """A section of `bench.report.sections` as the template shows it: (kind, block) for each of its blocks."""

    slug: str
    title: str
    lead: str
    blocks: tuple[tuple[str, ShownTable | Figure | str], ...]


@dataclass(frozen=True)
class Content:
    """What the pages are made from: what was read, and what was made of it. `tables` and `parted` by slug of group."""

    material: Material
    tables: Mapping[str, Table]
    parted: Mapping[str, Breakdown | None]
    figures: Mapping[str, bytes]
    further: Sequence[Section]


def pages(content: Content, out: Path) -> dict[str, str]:
    """{path below `out`: text} of the index, of the pages of the methods, and of what those share."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.globals["sizes"] = _sizes(content)
    material = content.material
    groups = material.groups
    base = relative(material.results, out / METHODS)
    made = method_pages(environment, content.tables, groups, material.sheets, material.prompts, base)
    made |= {
        f"{METHODS}/{name}": (_TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "script.js")
    }
    return made | {"index.html": _index(environment, content, relative(material.results, out))}


def _sizes(content: Content) -> dict[str, tuple[int, int]]:
    """Stem of a figure -> its width and height in pixels, so that a page keeps its place while figures load."""
    files = {f"figures/{name}": data for name, data in content.figures.items()}
    for section in content.further:
        files |= section.files
    sizes = {}
    for name, data in files.items():
        if name.startswith("figures/") and name.endswith((".png", ".webp")):
            with suppress(UnidentifiedImageError):
                sizes[Path(name).stem] = Image.open(io.BytesIO(data)).size
    return sizes


def relative(results: Path, page: Path) -> str:
    """`results` as a link from a page in the folder `page`, the same on every system."""
    return quote(Path(os.path.relpath(results.resolve(), page.resolve())).as_posix())


def _index(environment: Environment, content: Content, base: str) -> str:
    material = content.material
    records = [record for group in material.groups for record in (*group.measured, *group.missing)]
    links = {record.cell.name: cell_link(record) for record in records}
    most = max(_FEWEST_ROWS, MOST_ROWS // max(1, len(material.groups)))
    parts = [
        group_part(
            group,
            content.tables[group.slug],
            content.parted[group.slug],
            content.figures,
            material.sheets.get(group.slug, ()),
            material.prompts,
            links,
            base,
            most,
        )
        for group in material.groups
    ]
    return environment.get_template("index.html").render(
        parts=parts,
        further=[_further(section, content.figures, links) for section in content.further],
        methods=method_links(material.groups),
        cells=len(records),
        how_marked=HOW_MARKED,
        judges=JUDGES,
    )


def _further(section: Section, figures: Mapping[str, bytes], links: Mapping[str, str]) -> Further:
    blocks: list[tuple[str, ShownTable | Figure | str]] = []
    for block in section.blocks:
        if isinstance(block, DataTable):
            blocks.append(("table", shown_frame(block, links)))
        elif isinstance(block, Prose):
            blocks.append(("prose", block.text))
        else:
            names = {*figures, *(name.removeprefix("figures/") for name in section.files)}
            kind = next(kind for kind in ("svg", "webp", "png") if f"{block.stem}.{kind}" in names)
            blocks.append((kind, block))
    return Further(section.slug, section.title, section.lead, tuple(blocks))
