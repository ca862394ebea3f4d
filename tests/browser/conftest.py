"""A real Chromium, and a report with everything that may go wrong: markup, right to left, long names, missing cells."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from bench.record import Record
from bench.report.build import build
from tests.report.conftest import PROMPTS, example_records, measured, missing, write_results

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
MARKUP = "<img src=x onerror=document.title='pwned'>"
LONG = "a-method-with-a-name-of-which-nobody-thought-" + "x" * 40

Open = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a browser."""
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


def cells() -> list[Record]:
    rng = random.Random(1)
    others = [measured(name, 1, 12.0, 0.006, 70.0, rng) for name in (MARKUP, LONG)]
    return [*example_records(), *others, missing(MARKUP, 2, "failed", "<b>lost</b> " + "y" * 90)]


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report; image k of method m is of one colour, see `colour`."""
    out = tmp_path_factory.mktemp("browser") / "reports"
    results = write_results(out / "results", cells())
    for place, path in enumerate(sorted((results / "sheets").glob("*.png"))):
        tiles = [np.full((8, 8, 3), colour(place, index), np.uint8) for index in range(len(PROMPTS))]
        Image.fromarray(np.concatenate(tiles, axis=1)).save(path)
    assert build(results, out, check=False) == 0
    return out


def colour(place: int, index: int) -> tuple[int, int, int]:
    """Of image `index` of the strip at `place` among the sorted names."""
    return 20 + 30 * place, 250 - 40 * index, 90


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser of this machine. There is no test without it, so a machine that has none fails."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("there is no Chromium here; install it with `apt-get install chromium`", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Watched:
    """What a page complained about or asked for."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))


@pytest.fixture
def watched() -> Callable[[Page], Watched]:
    return Watched


@pytest.fixture
def show(chromium: Browser, report: Path) -> Iterator[Open]:
    """Open a page of the report from disk: `show("index.html", width=390, dark=True)`."""
    contexts = []

    def run(
        name: str = "index.html", *, width: int = 1280, dark: bool = False, script: bool = True, still: bool = False,
        watch: Callable[[Page], object] | None = None,
    ) -> Page:  # fmt: skip
        context = chromium.new_context(
            viewport={"width": width, "height": 844},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            reduced_motion="reduce" if still else "no-preference",
        )
        contexts.append(context)
        page = context.new_page()
        if watch is not None:
            watch(page)
        page.goto((report / name).as_uri())
        return page

    yield run
    for context in contexts:
        context.close()
