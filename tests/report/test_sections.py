"""Further sections join the page, and what anybody called a method or a suite stays text and stays in its folder."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.report import build as built
from bench.report.data_tables import shown_frame
from bench.report.frame import groups
from bench.report.naming import is_file_name, safe_name
from bench.report.sections import DataTable, Figure, Material, Prose, Section, Value

HOSTILE = "<img src=x onerror=alert(1)>"


def provide(material: Material) -> Section:
    (first, *_) = material.groups[0].measured
    frame = pd.DataFrame(
        {
            "Method": ["add", HOSTILE],
            "Published": [23.45678, None],
            "Ours": [
                Value("9.00", "[8.6, 9.4]", sort=9.0, record=first.cell.name, mark="good"),
                Value.missing("not in the paper"),
            ],
            "Images": [1000, np.nan],
        }
    )
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    blocks = (DataTable(frame, "Published beside ours"), Prose("Said <b>plainly</b>."), Figure("drawn", "A drawing"))
    return Section("paper", "The paper", "What it asks.", blocks, {"figures/drawn.svg": svg, "figures/drawn.png": b"p"})


def test_a_section_is_shown_written_and_checked(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built, "PROVIDERS", (lambda _: None, provide))
    out = small.parent
    assert built.build(small, out, check=False) == 0
    text = (out / "index.html").read_text(encoding="utf-8")
    assert '<a href="#paper">The paper</a>' in text
    assert 'src="figures/drawn.svg"' in text
    assert "23.46" in text
    assert '<td data-value="9.0" class="good"><a href="methods/add.html#cell-add-1-' in text
    assert '<span dir="auto">–</span><small class="reason">not in the paper</small>' in text
    assert '<td data-value="1000.0"' in text
    assert HOSTILE not in text
    assert "<b>plainly</b>" not in text
    assert built.build(small, out, check=True) == 0
    (out / "figures" / "drawn.svg").write_bytes(b"other")
    assert built.build(small, out, check=True) == 1


def test_names_stay_in_their_folder(tmp_path: Path, make) -> None:
    score = make.quantity(value=9.0, half=0.4)
    methods = [HOSTILE, "../../out", "a/b", "A/B", "שלום", "x" * 300, "CON", ""]
    records = [make.record(method, 1, (score,), suite="../../<suite>") for method in methods]
    (group,) = groups(records)
    assert safe_name(group.slug) == group.slug
    assert "/" not in group.slug
    names = [safe_name(method) for method in methods]
    assert len({name.lower() for name in names}) == len(methods)
    assert all(name.isascii() and 0 < len(name) < 100 and not name.startswith(".") for name in names)


def test_ordinary_names_stay_as_they_are() -> None:
    assert [safe_name(name) for name in ("add", "lcm-lora", "shapes-n1000-s0-cpu-float32-b50")] == [
        "add", "lcm-lora", "shapes-n1000-s0-cpu-float32-b50",
    ]  # fmt: skip


def test_a_name_with_a_path_in_it_is_no_file_of_a_folder() -> None:
    assert is_file_name("add-1-n1000-1372ba")
    assert not any(is_file_name(name) for name in ("../secret", "a/b", "a\\b", "..", "", "a\0"))


def test_sentences_are_set_in_lines_and_numbers_are_not():
    verdict = "not comparable: a masked transformer over tokens; nothing of its kind is trained here"
    frame = pd.DataFrame({"Model": ["OpenMUSE"], "Published": [Value("71.4", sort=71.4)], "Verdict": [verdict]})
    assert shown_frame(DataTable(frame, "votes"), {}).wordy == (False, False, True)


def test_figures_keep_their_place_while_they_load(whole):
    out, tags = whole, re.findall(r"<img[^>]*>", (whole / "index.html").read_text())
    assert tags
    for tag in tags:
        stem = re.search(r"figures/([^.]+)\.", tag)
        assert stem is not None
        kind = "webp" if (out / f"figures/{stem[1]}.webp").exists() else "png"
        width, height = Image.open(out / f"figures/{stem[1]}.{kind}").size
        assert f'width="{width}" height="{height}"' in tag
