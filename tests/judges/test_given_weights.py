"""`--metric-weights` on the command line: what it takes, what a run does with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import registry
from bench.cli import main
from bench.errors import UsageError
from bench.metrics.judge_table import WEIGHTS
from bench.metrics.weights import parse_metric_weights
from bench.record import read_records


def test_forms_of_the_option(folders: dict[str, Path]) -> None:
    root = folders["clip-g"].parent
    assert parse_metric_weights([f"clip-g={folders['clip-g']}", "dinov2=hub"]) == {
        "clip-g": folders["clip-g"],
        "dinov2": None,
    }
    assert parse_metric_weights([str(root)]) == {name: root / name for name in WEIGHTS if (root / name).exists()}


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["clip=x"], "'clip' is not one of inception, "),
        (["clip-g=no/such"], "there is nothing at no/such"),
        (["no/such"], "is neither NAME=FOLDER nor a folder"),
        (["aesthetic=hub"], "is not on the hub; convert the published file once with"),
        (["clip-g=hub", "clip-g=hub"], "gives 'clip-g' twice"),
    ],
)
def test_a_mistake_is_one_line(items: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        parse_metric_weights(items)
    assert "\n" not in str(raised.value)


def test_every_metric_names_weights_that_there_are_and_says_so_in_the_list() -> None:
    for name in registry.METRICS.names():
        weights = registry.METRICS.load(name).info.weights
        assert set(weights) <= set(WEIGHTS)
        assert bool(weights) is ("needs weights" in registry.METRICS.summary(name))


@pytest.fixture
def run(tmp_path: Path, tiny_pipeline: Path) -> Callable[..., int]:
    """`bench run` of the stock pipeline on three prompts of the user's."""
    (tmp_path / "mine.txt").write_text("a red circle\na blue star on sand\n\N{DOG FACE}\n", encoding="utf-8")

    own = ["--prompts", str(tmp_path / "mine.txt"), "--weights", f"sdxl-euler={tiny_pipeline}"]
    rest = ["--methods", "sdxl-euler", "--steps", "1", "--device", "cpu", "--out", str(tmp_path / "out")]

    def command(*options: str) -> int:
        return main(["run", *own, *rest, *options])

    return command


def test_a_list_of_prompts_under_pretrained_judges(
    run: Callable[..., int], folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    captured = capsys.readouterr()
    assert "clip-score is left out: clip-score needs the weights of OpenCLIP ViT-g-14" in captured.out
    (record,) = read_records(tmp_path / "out" / "records")
    assert record.quantity("clip-score") is None
    assert record.cell.suite.startswith("prompts-")
    given = ("--metric-weights", str(folders["clip-g"].parent))
    assert run(*given) == 0  # the same cell is judged again, since the judges are there now
    (record,) = read_records(tmp_path / "out" / "records")
    names = {"clip-score", "pickscore", "hpsv2", "image-reward", "aesthetic"}
    assert names <= {quantity.name for quantity in record.quantities}
    assert "--prompts FILE" in record.provenance["command"]
    assert "--metric-weights clip-g=FOLDER" in record.provenance["command"]
    assert str(tmp_path) not in record.provenance["command"]
    capsys.readouterr()
    assert run(*given) == 0
    assert capsys.readouterr().out.startswith("nothing to do")


def test_a_metric_that_was_asked_for_and_has_no_weights_stops_the_run(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--metrics", "pickscore") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: pickscore needs the weights of PickScore v1 (CLIP ViT-H-14): ")
    assert error.endswith("--metric-weights pickscore=hub, or =FOLDER (yuvalkirstain/PickScore_v1, MIT)")
