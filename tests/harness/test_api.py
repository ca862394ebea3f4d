"""`evaluate` for notebooks, on a fake method and on a stock SDXL pipeline of random weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import bench
from bench import ImageFunction, evaluate
from bench.errors import FewstepError, UsageError
from bench.judging import image_seed
from bench.report.frame import TIDY_COLUMNS
from methods.interface import SampleRequest
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


def draw(prompts: list[str], seeds: list[int], num_inference_steps: int) -> np.ndarray:
    """Noise of each seed, darker with every step."""
    noise = [np.random.default_rng(seed).integers(0, 256, (4, 4, 3)) for seed in seeds]
    return np.stack([(image / num_inference_steps).round().astype(np.uint8) for image in noise])


def test_a_function_is_all_that_a_model_needs(toy: Control) -> None:
    frame = evaluate(ImageFunction(draw), suite="toy", steps=[1, 4], limit=6, name="drawn")
    assert set(frame["method"]) == {"drawn"}
    expected = np.mean([draw(["x"], [image_seed(0, index)], 4).mean() for index in range(6)])
    assert value(frame, 4, "brightness") == pytest.approx(expected)
    assert value(frame, 1, "latency_s") > 0
    assert "nfe" not in set(frame["quantity"])  # nothing was shown to count


def test_the_networks_of_a_function_are_counted_where_they_are_shown(toy: Control) -> None:
    denoiser = fakes.Part("denoiser", 1.0)

    def sample(prompts: list[str], seeds: list[int], steps: int) -> torch.Tensor:
        x = torch.ones(len(prompts), 3, 4, 4)
        for _ in range(steps):
            x = denoiser(x)
        return (x * 255).to(torch.uint8)

    frame = evaluate(ImageFunction(sample, modules={"denoiser": denoiser}), suite="toy", steps=[3], limit=4)
    assert value(frame, 3, "nfe") == 3


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 3, 4, 4), np.float32), "float32 .*from floats in 0..1"),
        (np.zeros((3, 3, 4, 4), np.uint8), r"uint8 \(3, 3, 4, 4\); uint8 \(4, 3, H, W\)"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \(4, 4, 4\)"),
    ],
)
def test_what_a_function_must_give(toy: Control, images: np.ndarray, message: str) -> None:
    with pytest.raises(FewstepError, match=message):
        evaluate(ImageFunction(lambda *_: images), suite="toy", steps=[1], limit=4)
    with pytest.raises(FewstepError, match="takes no guidance scale"):
        evaluate(ImageFunction(draw), suite="toy", steps=[1], limit=4, guidance_scale=3.0)


def test_the_layouts_that_a_function_may_give() -> None:
    images = draw(["a", "b"], [1, 2], 1)
    request = SampleRequest(("a", "b"), (1, 2), 1)
    forms = (images, images.transpose(0, 3, 1, 2), torch.from_numpy(images), [Image.fromarray(i) for i in images])
    found = [ImageFunction(lambda *_, form=form: form).sample(request) for form in forms]
    assert all(torch.equal(found[0], other) for other in found)
    assert found[0].shape == (2, 3, 4, 4)


def test_importing_the_package_brings_no_torch() -> None:
    script = "import sys, bench; assert 'evaluate' in dir(bench); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False"]
    assert bench.evaluate is evaluate
    with pytest.raises(AttributeError, match="has no attribute 'evaluation'"):
        bench.evaluation  # noqa: B018
