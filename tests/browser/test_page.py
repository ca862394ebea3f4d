"""The page as a reader has it: it opens from disk without a complaint, on any screen, and can be read by all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import MARKUP, Open, Watched

CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
PAGES = ("index.html", "methods/add.html", "methods/lcm.html")
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def every_page(report: Path) -> list[str]:
    return ["index.html", *(f"methods/{path.name}" for path in sorted((report / "methods").glob("*.html")))]


def test_pages_open_from_disk_without_a_complaint_or_a_network(
    show: Open, report: Path, watched: Callable[[Page], Watched]
) -> None:
    for name in every_page(report):
        seen: list[Watched] = []
        page = show(name, watch=lambda page, seen=seen: seen.append(watched(page)))
        page.mouse.wheel(0, 20000)  # so that pictures which load late are asked for
        page.wait_for_load_state("networkidle")
        assert seen[0].complaints == []
        assert all(url.startswith(("file:", "data:")) for url in seen[0].requests)
        assert page.title() != "pwned"


def test_a_complaint_would_be_seen(show: Open, watched: Callable[[Page], Watched]) -> None:
    seen: list[Watched] = []
    page = show(watch=lambda page: seen.append(watched(page)))
    page.evaluate("setTimeout(() => { console.error('oh'); undefined.nothing; })")
    page.evaluate("const i = new Image(); i.src = 'figures/none.png'; document.body.append(i)")
    page.wait_for_timeout(200)
    assert len(seen[0].complaints) >= 3


@pytest.mark.parametrize("width", [390, 320])
def test_nothing_scrolls_sideways_on_a_phone(show: Open, report: Path, width: int) -> None:
    for name in every_page(report):
        page = show(name, width=width)
        page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
        assert page.evaluate(OVERFLOW) <= 0, name
    page.evaluate("document.querySelector('h1').style.width = '500px'")
    assert page.evaluate(OVERFLOW) > 0  # what is too wide would be seen


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_has_enough_contrast(show: Open, dark: bool) -> None:
    for name in PAGES:
        page = show(name, dark=dark)
        page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
        assert page.evaluate(CONTRAST) == [], name
    page.add_style_tag(content="dd { color: #8b8b8b !important; background: #7b7b7b !important }")
    assert any(item.startswith("DD") for item in page.evaluate(CONTRAST))  # too little would be seen


def test_the_colours_of_light_and_dark_differ(show: Open) -> None:
    colours = {show(dark=dark).evaluate("getComputedStyle(document.body).backgroundColor") for dark in (False, True)}
    assert colours == {"rgb(255, 255, 255)", "rgb(15, 19, 24)"}


def test_without_scripts_the_tables_and_figures_are_there(show: Open) -> None:
    page = show(script=False)
    assert page.locator("table.results").first.is_visible()
    assert page.locator(".lead img").first.is_visible()
    assert page.locator(".no-script").first.is_visible()
    assert not page.locator(".choose").first.is_visible()


def test_a_name_with_markup_is_shown_as_text(show: Open) -> None:
    page = show()
    assert page.locator("table.results").first.get_by_role("link", name=MARKUP, exact=True).count() == 2
    page.locator("#methods").get_by_text(MARKUP).click()
    assert page.locator("h1").inner_text() == MARKUP
    assert page.title().startswith(MARKUP)


def test_a_number_leads_to_its_command_and_its_record(show: Open) -> None:
    page = show()
    page.locator("table.results tbody td a").first.click()
    opened = page.locator("details[open]")
    assert opened.count() == 1
    assert "python -m bench run --methods" in opened.locator("pre").inner_text()
    opened.get_by_role("link", name="The record").click()
    assert page.url.endswith(".json")
    assert '"quantities"' in page.content()


def test_a_missing_cell_is_a_dash_with_its_reason(show: Open) -> None:
    page = show()
    row = page.locator("table.results").first.locator("tr", has_text="broken_one")
    assert row.locator("td").nth(1).inner_text().split() == ["–", "failed"]
    assert page.get_by_text("weights | of 50 % <b>lost</b>").first.is_visible()
