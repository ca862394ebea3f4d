"""Tables in a browser: sorted by number, dashes last, rows chosen by steps, all of it by keyboard."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

from tests.browser.conftest import Open


def table(page: Page) -> Locator:
    return page.locator("table.results").first


def column(page: Page, place: int) -> list[str]:
    """The values of a column in the order of its rows, as they are sorted by; empty for a dash."""
    return table(page).locator("tbody tr").evaluate_all(f"rows => rows.map((row) => row.cells[{place}].dataset.value)")


def numbers(values: list[str]) -> list[float]:
    return [float(value) for value in values if value]


def test_a_column_sorts_by_number_in_both_directions_with_dashes_last(show: Open) -> None:
    page = show()
    head = table(page).locator("thead th").nth(2)
    assert [head.get_attribute("aria-sort"), table(page).locator("th").nth(1).get_attribute("aria-sort")] == [
        "none", "ascending",
    ]  # fmt: skip
    before = column(page, 2)
    assert numbers(before) != sorted(numbers(before))
    head.get_by_role("button").click()  # a distance: the smallest first
    values = column(page, 2)
    assert numbers(values) == sorted(numbers(before))
    assert values != sorted(before)  # as text, 12 would come before 9
    assert values[-3:] == ["", "", ""]
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    values = column(page, 2)
    assert numbers(values) == sorted(numbers(before), reverse=True)
    assert values[-3:] == ["", "", ""]
    assert table(page).locator("th").nth(1).get_attribute("aria-sort") == "none"


def test_a_score_sorts_by_the_best_first_and_names_as_text(show: Open) -> None:
    page = show()
    table(page).get_by_role("button", name="CLIP-shapes").click()
    place = table(page).locator("thead th").all_inner_texts().index(
        next(text for text in table(page).locator("thead th").all_inner_texts() if text.startswith("CLIP-shapes"))
    )  # fmt: skip
    values = numbers(column(page, place))
    assert values == sorted(values, reverse=True)
    table(page).get_by_role("button", name="Method").click()
    names = column(page, 0)
    assert names.index("add") < names.index("broken_one") < names.index("lcm") < names.index("sdxl")


def test_rows_stay_whole_when_they_move(show: Open) -> None:
    page = show()
    rows = {tuple(text.split()) for text in table(page).locator("tbody tr").all_inner_texts()}
    table(page).locator("thead button").nth(3).click()
    assert {tuple(text.split()) for text in table(page).locator("tbody tr").all_inner_texts()} == rows


def test_steps_can_be_chosen(show: Open) -> None:
    page = show()
    chips = page.locator(".chips").first
    chips.get_by_role("button", name="4", exact=True).click()
    shown = [row for row in table(page).locator("tbody tr").all() if row.is_visible()]
    assert {row.locator("td").first.inner_text() for row in shown} == {"4"}
    assert chips.locator("[aria-pressed=true]").inner_text() == "4"
    chips.get_by_role("button", name="all").click()
    assert all(row.is_visible() for row in table(page).locator("tbody tr").all())


def test_a_head_sorts_by_keyboard(show: Open) -> None:
    page = show()
    button = table(page).locator("thead button").nth(2)
    button.focus()
    page.keyboard.press("Enter")
    assert table(page).locator("thead th").nth(2).get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert table(page).locator("thead th").nth(2).get_attribute("aria-sort") == "descending"


FOCUSABLE = "a[href], button, select, input, summary, [tabindex='0']"


def reached(page: Page) -> tuple[int, list[str]]:
    """How many elements the Tab key reaches, and those of them whose focus cannot be seen."""
    page.evaluate("window.seen = new Set(); document.activeElement.blur(); scrollTo(0, 0)")
    unseen = []
    for _ in range(2000):
        page.keyboard.press("Tab")
        state = page.evaluate(
            """() => { const at = document.activeElement;
            if (at === document.body || seen.has(at)) return null;
            seen.add(at);
            const style = getComputedStyle(at);
            const shown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
            return [at.outerHTML.slice(0, 80), shown]; }"""
        )
        if state is None:
            break
        if not state[1]:
            unseen.append(state[0])
    return page.evaluate("seen.size"), unseen


def test_everything_is_reached_by_tab_and_shows_its_focus(show: Open) -> None:
    page = show("methods/add.html")
    wanted = page.locator(FOCUSABLE).evaluate_all("all => all.filter((item) => item.checkVisibility()).length")
    count, unseen = reached(page)
    assert count == wanted
    assert unseen == []
    page.add_style_tag(content=":focus-visible { outline: none !important }")
    page.locator("summary").first.evaluate("item => { item.tabIndex = -1; }")
    count, unseen = reached(page)
    assert count == wanted - 1  # what cannot be reached or seen would be found
    assert unseen


def test_the_first_tab_offers_to_skip_to_the_results(show: Open) -> None:
    page = show()
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.inner_text() == "Skip to the results"
    box = skip.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
