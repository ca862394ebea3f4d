"""Build the report: tables, figures and the page, all pure functions of records and stored images."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.errors import UsageError
from bench.record import Record
from bench.report.breakdown import breakdown
from bench.report.check import differences, left_over
from bench.report.crossovers import crossovers
from bench.report.diversity import diversity
from bench.report.drift import drift
from bench.report.elsewhere import elsewhere
from bench.report.figures import figures
from bench.report.frame import Group, groups, load
from bench.report.grids import grids
from bench.report.health import health_checks, health_markdown
from bench.report.health_panel import health_panel
from bench.report.html import GENERATOR, Content, pages
from bench.report.latency import LatencyReport, page_sections
from bench.report.latex import results_latex
from bench.report.ledger.providers import PROVIDERS as LEDGER
from bench.report.markdown import readme_markdown, results_markdown
from bench.report.readme import update_readme
from bench.report.sections import Material, Section
from bench.report.sheets import read_prompts, read_sheets
from bench.report.studies import budget_section, claims_section
from bench.report.tables import breakdown_csv, not_measured_csv, results_csv, results_table
from bench.report.thumbnails import make_missing_strips

PROVIDERS: tuple[Callable[[Material], Section | None], ...] = (
    *LEDGER,
    claims_section,
    budget_section,
    crossovers,
    diversity,
    drift,
    health_panel,
    elsewhere,
)
"""What makes the further sections of the page, in their order; see `bench.report.sections`."""

MOST_DRAWN = 4
"""Groups that have charts, the largest: of more settings than that, tables and images tell enough."""


def build(results: Path, out: Path, check: bool, latency: LatencyReport | None = None) -> int:
    """Write the report of `results` into `out`, or with `check` compare it with what is there.

    The table in README.md is kept up to date too, where that file lies beside a folder `reports` and has the markers;
    a report written elsewhere leaves it alone.

    Returns:
        0, or 1 where `check` finds a file that differs, is missing or is left over; each is named on stdout.

    Raises:
        UsageError: where there are no records, or `out` holds something that is not a report.
        RecordError: where a record, a strip or the prompts cannot be read, or protocols differ.
    """
    records = load(results)
    found = groups(records)
    if not check:
        for problem in make_missing_strips(results, records, read_prompts(results)):
            sys.stderr.write(f"{problem}\n")
    files = render(results, out, found, records, latency)
    readme = _readme(out)
    table = readme_markdown(found)
    if check:
        return _check(files, out, readme, table)
    _refuse_foreign(out)
    _write(files, out)
    if readme is not None:
        update_readme(readme, table, check=False)
    for name in left_over(files, out):
        sys.stderr.write(f"left over from another report, delete it: {out / name}\n")
    sys.stdout.write(f"{out / 'index.html'}\n")
    return 0


def render(
    results: Path,
    out: Path,
    found: tuple[Group, ...],
    records: Sequence[Record] = (),
    latency: LatencyReport | None = None,
) -> dict[str, bytes]:
    """All files of the report as {path below `out`: bytes}; nothing is written. `records` are those of no group too."""
    prompts = read_prompts(results)
    sheets = {group.slug: read_sheets(results, group.measured) for group in found}
    drawn: dict[str, bytes] = {}
    for group in found[:MOST_DRAWN]:
        drawn |= figures(group) | grids(group.slug, sheets[group.slug], prompts)
    material = Material(results, found, sheets, prompts, records)
    further = [section for provider in PROVIDERS if (section := provider(material)) is not None]
    further += page_sections(latency.sections) if latency is not None else []
    checks = health_checks(results, [record for group in found for record in group.measured])
    content = Content(
        material=material,
        tables={group.slug: results_table(group) for group in found},
        parted={group.slug: breakdown(group, prompts) for group in found},
        figures=drawn,
        further=further,
    )
    texts = {
        "tables/results.md": results_markdown(found, prompts, health_markdown(checks)),
        "tables/results.csv": results_csv(found),
        "tables/results.tex": results_latex(found),
        "tables/breakdown.csv": breakdown_csv(found, prompts),
        "tables/not_measured.csv": not_measured_csv(found),
        "tables/readme.md": readme_markdown(found),
        **pages(content, out),
    }
    texts |= latency.files() if latency is not None else {}
    files = {name: text.encode("utf-8") for name, text in texts.items()}
    for section in further:
        files |= section.files
    return files | {f"figures/{name}": data for name, data in drawn.items()}


def _readme(out: Path) -> Path | None:
    """The README that shows this report: the project's own report only, not one that somebody writes for themselves."""
    folder = out.resolve()
    return folder.parent / "README.md" if folder.name == "reports" else None


def _check(files: dict[str, bytes], out: Path, readme: Path | None, table: str) -> int:
    lines = differences(files, out)
    if readme is not None and not update_readme(readme, table, check=True):
        lines.append(f"differs: the table in {readme.name}")
    sys.stdout.writelines(f"{line}\n" for line in lines)
    if lines:
        sys.stderr.write(f"{out} does not agree with its records; `python -m bench report` writes it again\n")
    return 1 if lines else 0


def _refuse_foreign(out: Path) -> None:
    """Never overwrite a page that this project did not write."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder with --out")
    index = out / "index.html"
    if index.is_file() and GENERATOR.encode() not in index.read_bytes():
        raise UsageError(f"{index} was not written by this project; name another folder with --out")


def _write(files: dict[str, bytes], out: Path) -> None:
    try:
        for name, data in sorted(files.items()):
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.partial")
            partial.write_bytes(data)
            partial.replace(path)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error}); name another folder with --out") from error
