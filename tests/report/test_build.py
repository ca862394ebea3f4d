"""The report as a whole: the same bytes again, `--check`, the page, README."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from bench.errors import RecordError, UsageError
from bench.report.build import build as build_report
from bench.report.readme import BEGIN, END, update_readme

ROOT = Path(__file__).resolve().parents[2]
VOID = {"meta", "link", "img", "br", "hr", "input"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the report, without the results."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: data for name, data in found.items() if not name.startswith("results/")}


class Page(HTMLParser):
    """Checks that elements nest, and collects links, ids, text and the heads of tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.seen if attrs.get(name) is not None]


@pytest.fixture(scope="module")
def page(whole: Path) -> Page:
    return Page((whole / "index.html").read_text(encoding="utf-8"))


def test_two_builds_are_byte_equal_even_in_another_process(whole: Path, tmp_path: Path):
    again = tmp_path / "reports"
    shutil.copytree(whole / "results", again / "results")
    code = "import sys; from pathlib import Path; from bench.report.build import build\n"
    code += "sys.exit(build(Path('results'), Path(), False))"
    env = os.environ | {"PYTHONHASHSEED": "12345", "MPLBACKEND": "svg", "LC_ALL": "C", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, cwd=again, stdout=subprocess.PIPE)
    first = contents(whole)
    assert contents(again) == first
    assert {"index.html", "tables/results.md", "tables/results.csv", "tables/results.tex", "tables/readme.md"} <= set(
        first
    )


def test_check_passes_then_names_what_changed(small: Path, build: Callable[[Path], Path], capsys):
    out = build(small)
    assert build_report(small, out, check=True) == 0
    before = contents(out)
    page = out / "index.html"
    page.write_bytes(page.read_bytes().replace(b"Results", b"Resultz", 1))
    (out / "tables" / "results.csv").unlink()
    (out / "figures" / "old.svg").write_text("<svg/>")
    (small / "notes.txt").write_text("not the report's business")
    capsys.readouterr()
    assert build_report(small, out, check=True) == 1
    assert capsys.readouterr().out.splitlines() == [
        "left over: figures/old.svg", "differs: index.html", "missing: tables/results.csv",
    ]  # fmt: skip
    assert contents(out) != before  # a check repairs nothing
    (out / "figures" / "old.svg").unlink()
    build(small)
    assert build_report(small, out, check=True) == 0


def test_check_fails_where_a_record_moved(small: Path, build: Callable[[Path], Path]):
    out = build(small)
    record = next((small / "records").glob("add-1-*.json"))
    data = json.loads(record.read_text())
    data["quantities"][0]["value"] += 0.5
    record.write_text(json.dumps(data))
    with pytest.raises(RecordError, match=f"{record.name}: changed after it was written"):
        build_report(small, out, check=True)
    del data["digest"]  # as somebody who means it
    record.write_text(json.dumps(data))
    assert build_report(small, out, check=True) == 1


def test_check_fails_where_readme_was_typed(small: Path, build: Callable[[Path], Path]):
    readme = small.parent.parent / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    out = build(small)
    text = readme.read_text()
    assert "| add | 1 | **9.00**" in text
    assert text.startswith("# Title\n")
    assert text.endswith(f"{END}\n\nafter\n")
    assert build_report(small, out, check=True) == 0
    readme.write_text(text.replace("**9.00**", "**8.00**"))
    assert build_report(small, out, check=True) == 1


def test_readme_without_markers_is_left_alone_and_half_a_pair_is_refused(tmp_path: Path):
    readme = tmp_path / "README.md"
    assert update_readme(readme, "table", check=False)
    readme.write_text("no markers")
    assert update_readme(readme, "table", check=False)
    assert readme.read_text() == "no markers"
    readme.write_text(f"{END} {BEGIN}")
    with pytest.raises(UsageError, match="results:begin"):
        update_readme(readme, "table", check=False)


def test_the_page_nests_and_its_ids_are_unique(page: Page):
    assert page.open == []
    ids = page.attributes("id")
    assert len(set(ids)) == len(ids)
    with pytest.raises(AssertionError):
        Page("<p><b>crossed</p></b>")


def local_links(found: Page) -> list[str]:
    return found.attributes("href") + found.attributes("src")


def strips(found: Page) -> list[str]:
    """What the image browsers of a page point at."""
    data = [json.loads(words) for words in found.words if words.startswith('{"cells"')]
    return [cell[2] for item in data for cell in item["cells"]]


def test_everything_the_pages_point_at_is_there(whole: Path):
    for path in [whole / "index.html", *sorted((whole / "methods").glob("*.html"))]:
        found = Page(path.read_text(encoding="utf-8"))
        assert found.open == []
        shown = strips(found)
        assert shown or path.name.startswith("broken")
        for link in local_links(found) + shown:
            parts = urlsplit(link)
            assert not parts.scheme
            assert not parts.netloc
            target = path.parent / unquote(parts.path) if parts.path else path
            assert target.is_file(), link
            if parts.fragment:
                assert parts.fragment in Page(target.read_text(encoding="utf-8")).attributes("id"), link


def test_every_number_leads_to_its_record_and_its_command(page: Page, whole: Path):
    linked = [link for link in page.attributes("href") if link.startswith("methods/") and "#cell-" in link]
    # 5 measured cells: name, 5 scores and latency in the first table, name and 4 costs in the second; the 2 that were
    # not measured stand in both tables and in the one of reasons; further sections link more
    assert len(linked) >= 5 * 12 + 2 * 3
    records = set()
    for link in set(linked):
        name, anchor = link.split("#")
        found = Page((whole / name).read_text(encoding="utf-8"))
        assert anchor in found.attributes("id")
        records |= {item for item in found.attributes("href") if "records/" in item}
        if "broken" not in name:
            assert "python -m bench run --methods" in " ".join(found.words)
    assert records == {f"../results/records/{path.name}" for path in (whole / "results" / "records").glob("*.json")}


def test_cells_that_were_not_measured_are_dashes_with_a_reason(page: Page, whole: Path):
    text = (whole / "index.html").read_text(encoding="utf-8")
    row = text.split('dir="auto">broken_one</a>')[1].split("</tr>")[0]
    assert row.count("–") == 6
    assert '<small class="reason">failed</small>' in row
    assert "weights | of 50 % <b>lost</b>" in " ".join(page.words)


def test_results_elsewhere_are_linked_relative_to_the_page(small: Path, tmp_path: Path):
    out = tmp_path / "elsewhere" / "report"
    assert build_report(small, out, check=False) == 0
    text = (out / "index.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert 'href="../../../reports/results/records/add-1-' in (out / "methods" / "add.html").read_text(encoding="utf-8")


def test_prompts_are_text_whatever_they_hold(page: Page, whole: Path, make):
    raw = (whole / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in raw
    assert "<b>lost</b>" not in raw
    options = [attrs for tag, attrs in page.seen if tag == "option" and "data-text" in attrs]
    assert [option["data-text"] for option in options] == list(make.PROMPTS)
    assert all(option["dir"] == "auto" for option in options)
    assert sum(tag == "script" for tag, _ in page.seen) == 2  # its own, and the data of the images


def test_heads_of_columns_are_buttons_that_say_how_they_sort(page: Page):
    heads = [attrs for tag, attrs in page.seen if tag == "th" and "aria-sort" in attrs]
    buttons = [attrs for tag, attrs in page.seen if tag == "button" and "class" not in attrs]
    inside = [attrs for attrs in buttons if "aria-label" not in attrs]
    assert len(heads) > (2 + 6) + (2 + 4) + 4  # further sections have tables too
    assert len(inside) >= len(heads)
    assert {attrs["data-first"] for attrs in heads} == {"ascending", "descending"}


def test_the_page_says_that_it_is_no_fid_and_how_to_measure_again(page: Page, whole: Path):
    text = " ".join(page.words)
    assert "Not “FID”." in text
    assert "at most 8 steps" in text
    add = Page((whole / "methods" / "add.html").read_text(encoding="utf-8"))
    assert "python -m bench run --methods add --steps 1 --force" in add.words


def test_without_images_the_rest_is_built(small: Path, build: Callable[[Path], Path]):
    out = build(small)
    assert not list((out / "figures").glob("grid-*"))
    assert 'class="browser"' not in (out / "index.html").read_text(encoding="utf-8")


def test_only_failures_still_make_a_report(tmp_path: Path, build: Callable[[Path], Path], make):
    out = build(make.write_results(tmp_path / "r" / "results", [make.missing("add", 1, "failed", "lost")]))
    assert "lost" in (out / "tables" / "results.md").read_text(encoding="utf-8")
    assert "failed" in (out / "index.html").read_text(encoding="utf-8")


def test_nobody_elses_page_is_overwritten(small: Path):
    page = small.parent / "index.html"
    page.write_text("<p>my own page</p>")
    with pytest.raises(UsageError, match="was not written by this project"):
        build_report(small, small.parent, check=False)
    assert page.read_text() == "<p>my own page</p>"


def test_a_file_as_out_is_refused(small: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        build_report(small, tmp_path / "file", check=False)
