"""The table and its sentences, and progress, on records whose answer is known."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bench.comparison import more_prompts, sentence
from bench.folder import OutFolder
from bench.plan import Plan
from bench.progress import Meter, Progress, duration
from bench.record import Cell, Quantity, Record
from bench.report.display import display
from bench.terminal import show
from tests.harness.tables import INFO


def cell(method: str, steps: int = 1) -> Cell:
    return Cell("toy", method, steps, None, 0, 1000, "cpu", "float32", 50)


def quantity(name: str, value: float, half: float, *, higher: bool, unit: str = "") -> Quantity:
    return Quantity(name, value, value - half, value + half, 1000, unit, higher, {"judge": "one"})


def record(
    method: str, steps: int, *quantities: Quantity, per_image: dict[str, tuple[float, ...]] | None = None
) -> Record:
    return Record(cell(method, steps), "ok", None, quantities, per_image or {}, {}, {})


def failed(method: str, steps: int) -> Record:
    return Record(cell(method, steps), "failed", "RuntimeError: boom", (), {}, {}, {})


ADD = record(
    "add",
    1,
    quantity("fd-shapes", 3.0, 0.2, higher=False),
    quantity("clip-shapes", 30.0, 1.0, higher=True),
    quantity("latency_s", 0.010, 0.0002, higher=False, unit="s"),
)
LCM = record(
    "lcm",
    1,
    quantity("fd-shapes", 5.0, 0.3, higher=False),
    quantity("clip-shapes", 30.5, 1.0, higher=True),
    quantity("latency_s", 0.009, 0.0002, higher=False, unit="s"),
)
COLUMNS = [display(item) for item in ADD.quantities]


def shown(records: list[Record], *, metrics: tuple[str, ...] = ("fd-shapes", "clip-shapes")) -> str:
    plan = Plan(INFO, tuple(item.cell for item in records), metrics, OutFolder(Path("out"), "toy"))
    stream = io.StringIO()
    show(plan, {item.cell: item for item in records}, stream)
    return stream.getvalue()


def test_the_table_as_it_is_piped() -> None:
    text = shown([ADD, LCM, failed("sdxl", 1)])
    assert text.startswith("toy · 1,000 prompts · seed 0 · cpu float32\n")
    assert "\x1b" not in text
    lines = text.splitlines()
    head = next(line for line in lines if line.strip().startswith("method"))
    assert head.split() == ["method", "steps", "FD-shapes", "↓", "CLIP-shapes", "↑", "Latency", "(ms)", "↓"]
    row = next(line for line in lines if line.strip().startswith("add"))
    assert row.split()[:5] == ["add", "1", "3.00*", "[2.80,", "3.20]"]
    assert "30.00 [" in row or "30.0 [" in row  # no mark: the intervals overlap
    assert "sdxl, 1 step: failed: RuntimeError: boom" in text


def test_rows_stand_in_the_order_asked_for() -> None:
    later = record("add", 4, quantity("fd-shapes", 2.0, 0.1, higher=False))
    rows = [line.split()[:2] for line in shown([LCM, later, ADD]).splitlines() if line.startswith(("  add", "  lcm"))]
    assert rows[:3] == [["lcm", "1"], ["add", "4"], ["add", "1"]]


def test_a_run_of_which_nothing_was_measured() -> None:
    text = shown([failed("add", 1)])
    assert "add, 1 step: failed" in text
    assert "method" not in text


def test_the_sentence_says_who_wins_on_what_and_what_cannot_be_told() -> None:
    text = sentence(ADD, LCM, COLUMNS)
    assert text == (
        "add at 1 step beats lcm at 1 step on FD-shapes (3.00 against 5.00); "
        "lcm at 1 step beats add at 1 step on Latency (9.00 against 10.00 ms); "
        "on CLIP-shapes: cannot tell (about 7,000 more prompts would)."
    )


def test_more_prompts_follows_from_the_square_root_law() -> None:
    # half-width of the difference sqrt(2) at n = 1000, difference 0.5: n must grow (sqrt(2) / 0.5)^2 = 8 times
    assert more_prompts(ADD, LCM, "clip-shapes") == pytest.approx(7000, abs=1)  # rounding up of a float
    assert more_prompts(ADD, ADD, "clip-shapes") is None


def test_pairs_decide_where_separate_intervals_cannot() -> None:
    base = [float(index % 10) for index in range(100)]
    better = tuple(value + 0.1 + 0.01 * (index % 3) for index, value in enumerate(base))
    one = record("add", 1, quantity("clip-shapes", 4.61, 0.6, higher=True), per_image={"clip-shapes": better})
    other = record("lcm", 1, quantity("clip-shapes", 4.5, 0.6, higher=True), per_image={"clip-shapes": tuple(base)})
    assert "add at 1 step beats lcm" in sentence(one, other, COLUMNS[1:2])
    unpaired = record("lcm", 1, quantity("clip-shapes", 4.5, 0.6, higher=True))
    assert "cannot tell" in sentence(one, unpaired, COLUMNS[1:2])


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_meter_weighs_cells_by_their_steps() -> None:
    clock = Ticks()
    meter = Meter([cell("add", 1), cell("add", 3)], clock)
    meter.start(100)
    assert meter.seconds_left is None
    clock.now = 1.0
    meter.add(50, kept=False)
    assert meter.rate == pytest.approx(50)
    # 50 images x 2 took a second; 50 x 2 and 100 x 4 are left
    assert meter.seconds_left == pytest.approx(1 + 4)
    assert meter.line == "cell 1 of 2 · add, 1 step · 50 of 100 images · 50.0 images/s · 0:05 left"
    meter.start(100)
    meter.add(50, kept=True)  # images of an earlier run are no sign of speed
    assert meter.rate is None
    assert meter.seconds_left == pytest.approx(2)


def test_progress_without_a_terminal_is_a_line_now_and_then() -> None:
    clock, stream = Ticks(), io.StringIO()
    with Progress([cell("add")], stream, clock) as progress:
        progress.cell(cell("add"), 100)
        for _ in range(30):
            clock.now += 1.0
            progress.images(1, kept=False)
        progress.done(failed("add", 1))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1 + 3 + 1  # the start, one in ten seconds, the failure
    assert lines[0] == "cell 1 of 1 · add, 1 step · 0 of 100 images"
    assert lines[-1] == "add, 1 step: failed: RuntimeError: boom"


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (59.6, "1:00"), (750, "12:30"), (3723, "1:02:03")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
