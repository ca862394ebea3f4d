"""`evaluate` for notebooks, on a fake method and on a stock SDXL pipeline of random weights."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from bench.api import evaluate
from bench.errors import FewstepError, UsageError
from bench.report.frame import TIDY_COLUMNS
from tests.harness import fakes
from tests.harness.fakes import Control


@pytest.fixture
def method(toy: Control) -> fakes.FakeADD:
    assert toy.weights is not None
    return fakes.FakeADD.load(toy.weights / "add", device=torch.device("cpu"), dtype=torch.float32)


def value(frame: pd.DataFrame, steps: int, quantity: str) -> float:
    chosen = frame[(frame["num_inference_steps"] == steps) & (frame["quantity"] == quantity)]
    return float(chosen["value"].item())


def test_evaluate_gives_tidy_rows(method: fakes.FakeADD) -> None:
    frame = evaluate(method, suite="toy", steps=[1, 4], limit=6, name="ours")
    assert tuple(frame.columns) == TIDY_COLUMNS
    assert set(frame["method"]) == {"ours"}
    assert value(frame, 4, "nfe") == 4
    assert value(frame, 1, "nfe") == 1
    assert value(frame, 1, "brightness") > value(frame, 4, "brightness")  # each step of the fake darkens


def test_evaluate_agrees_with_the_command_line(method: fakes.FakeADD, bench: object, out: Path) -> None:
    assert bench("--methods", "add", "--steps", "2") == 0  # type: ignore[operator]
    stored = pd.read_csv(out / "results.csv")
    assert value(evaluate(method, suite="toy", steps=[2]), 2, "brightness") == value(stored, 2, "brightness")


def test_evaluate_raises_what_a_run_would_record(method: fakes.FakeADD, toy: Control) -> None:
    with pytest.raises(FewstepError, match="9 steps: unsupported: at most 8 steps"):
        evaluate(method, suite="toy", steps=[9])
    with pytest.raises(UsageError, match="--steps '0' is not possible"):
        evaluate(method, suite="toy", steps=[0])
    with pytest.raises(UsageError, match="did you mean 'toy'"):
        evaluate(method, suite="tpy")
    with pytest.raises(UsageError, match="object has no unet"):
        evaluate(object(), suite="toy")
