"""The image browser: prompts as text whatever they hold, images of the right prompt, two of them compared."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page

from tests.browser.conftest import Open, colour
from tests.report.conftest import PROMPTS


def middle(picture: Locator, at: float = 0.5) -> tuple[int, ...]:
    """The colour of the pixel `at` of the width, half way down."""
    picture.scroll_into_view_if_needed()
    pixels = np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("RGB"))
    return tuple(int(value) for value in pixels[pixels.shape[0] // 2, int(at * (pixels.shape[1] - 1))])


def colours(page: Page, report: Path, index: int) -> dict[str, tuple[int, int, int]]:
    """What image `index` of each strip must look like, by its file."""
    places = sorted((report / "results" / "sheets").glob("*.png"))
    return {path.name: colour(place, index) for place, path in enumerate(places)}


def file_of(picture: Locator) -> str:
    found = re.search(r"sheets/([^\"]+)\"", picture.evaluate("item => item.style.backgroundImage"))
    assert found
    return unquote(found.group(1))


def test_each_prompt_shows_its_text_and_its_images(show: Open, report: Path) -> None:
    page = show()
    for index, prompt in enumerate(PROMPTS):
        assert page.locator("blockquote").inner_text() == prompt
        wanted = colours(page, report, index)
        pictures = page.locator(".tiles .picture")
        assert pictures.count() == 7
        for place in (0, 3):
            assert middle(pictures.nth(place)) == wanted[file_of(pictures.nth(place))]
            assert pictures.nth(place).get_attribute("aria-label").endswith(prompt)
        page.get_by_role("button", name="Next prompt").click()
    assert page.locator("blockquote").inner_text() == PROMPTS[0]  # round again
    page.get_by_role("button", name="Previous prompt").click()
    assert page.locator("blockquote").inner_text() == PROMPTS[-1]
    page.locator("select.prompts").select_option(index=2)
    assert page.locator("blockquote").inner_text() == PROMPTS[2]


def test_markup_in_a_prompt_is_text_and_does_nothing(show: Open) -> None:
    page = show()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.locator("select.prompts").select_option(index=1)
    assert page.locator("blockquote").inner_text() == "a <script>alert(1)</script> shape"
    assert page.locator("blockquote *").count() == 0
    assert page.locator("select.prompts option").nth(1).inner_text() == "2. a <script>alert(1)</script> shape"
    assert dialogs == []


def test_a_prompt_from_right_to_left_reads_so(show: Open) -> None:
    page = show()
    left = "item => { const range = document.createRange(); range.selectNodeContents(item); return range.getBoundingClientRect().left - item.getBoundingClientRect().left; }"  # noqa: E501
    quote = page.locator("blockquote")
    assert quote.evaluate(left) < 5
    page.locator("select.prompts").select_option(index=2)
    assert quote.evaluate("item => item.matches(':dir(rtl)')")
    assert quote.evaluate(left) > 300  # it stands at the right


def test_steps_choose_the_tiles(show: Open) -> None:
    page = show()
    page.locator("select.steps").select_option("4")
    assert page.locator(".tiles .tile span").all_inner_texts() == ["add", "lcm"]
    assert page.locator(".tiles h4").all_inner_texts() == ["4 steps"]


def compared(page: Page) -> tuple[Locator, Locator]:
    return page.locator(".stage .a .picture"), page.locator(".stage .b .picture")


def test_images_are_taken_to_be_compared_side_by_side(show: Open, report: Path) -> None:
    page = show()
    tiles = page.locator("button.tile")
    tiles.nth(2).click()
    tiles.nth(5).click()
    one, other = compared(page)
    assert file_of(one) == file_of(tiles.nth(2).locator(".picture"))
    assert file_of(other) == file_of(tiles.nth(5).locator(".picture"))
    pressed = page.locator("button.tile[aria-pressed=true]")
    assert [tile.get_attribute("data-place") for tile in pressed.all()] == ["A", "B"]
    wanted = colours(page, report, 0)
    assert [middle(one), middle(other)] == [wanted[file_of(one)], wanted[file_of(other)]]
    boxes = one.bounding_box(), other.bounding_box()
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[1]["x"] >= boxes[0]["x"] + boxes[0]["width"]
    page.get_by_role("button", name="Next prompt").click()
    assert middle(one) == colours(page, report, 1)[file_of(one)]


def test_the_slider_shows_a_at_its_left_and_b_at_its_right(show: Open, report: Path) -> None:
    page = show()
    page.get_by_role("radio", name="slider").check()
    one, other = compared(page)
    wanted = colours(page, report, 0)
    slider = page.locator(".slide input")
    seen = []
    for value in ("0", "30", "100"):
        slider.fill(value)
        seen.append([middle(other, at) for at in (0.02, 0.25, 0.35, 0.98)])
    a, b = wanted[file_of(one)], wanted[file_of(other)]
    assert seen == [[b, b, b, b], [a, a, b, b], [a, a, a, a]]
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "1"


def test_flicker_shows_a_and_b_in_turn_and_can_be_stopped(show: Open, report: Path) -> None:
    page = show()
    page.clock.install(time=datetime(2024, 1, 1, tzinfo=UTC))
    page.reload()
    page.clock.pause_at(datetime(2024, 1, 1, 1, tzinfo=UTC))  # from here on time passes only when it is told to
    page.get_by_role("radio", name="flicker").check()
    one, other = compared(page)
    wanted = colours(page, report, 0)
    seen = []
    for _ in range(3):
        seen.append(middle(other))
        page.clock.run_for(600)
    a, b = wanted[file_of(one)], wanted[file_of(other)]
    assert seen == [a, b, a]
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(5000)
    assert middle(other) == a
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(600)
    assert middle(other) == b


def test_flicker_waits_for_those_who_asked_for_less_motion(show: Open) -> None:
    page = show(still=True)
    page.get_by_role("radio", name="flicker").check()
    assert page.get_by_role("button", name="Play").is_visible()


def test_a_comparison_is_made_by_keyboard_alone(show: Open) -> None:
    page = show()
    page.locator("button.tile").nth(4).focus()
    page.keyboard.press("Enter")
    one, _ = compared(page)
    assert file_of(one) == file_of(page.locator("button.tile .picture").nth(4))
    page.get_by_role("radio", name="side by side").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".stage").get_attribute("data-mode") == "slider"
