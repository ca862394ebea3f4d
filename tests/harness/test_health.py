"""Controls damage what they say, metrics that see it pass, and one that does not is flagged in every record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.cli import main
from bench.health import CONTROLS, Expectation, HeldOut, expectations, findings
from bench.judging import Prompt
from bench.metrics.attributes import Attributes
from bench.metrics.frechet import FrechetShapes
from bench.metrics.interface import MetricInfo
from bench.record import Quantity, Record, read_records
from bench.suites.coco import info as coco_info
from bench.suites.coco.suite import CocoSuite
from methods.names import NameTable
from tests.harness import fakes
from tests.harness.fakes import Control
from tests.harness.test_parts import CELL
from tests.metrics.tiny import shapes
from tests.suites.make import write_coco

BRIGHT = MetricInfo("brightness", "", "", True, "", False, 1, sees_prompts=True)


def sharpness(images: Tensor) -> float:
    """Mean difference of neighbouring pixels."""
    return float(images.float().diff(dim=-1).abs().mean())


def test_controls_do_what_they_say() -> None:
    images = shapes(20)
    made = {name: damage(images) for name, damage in CONTROLS.items()}
    assert all(shown.shape == images.shape and shown.dtype == torch.uint8 for shown in made.values())
    assert torch.equal(made["real"], images)
    ladder = [sharpness(made[name]) for name in ("real", "blur-1", "blur-2", "blur-3")]
    assert ladder == sorted(ladder, reverse=True)
    errors = [float((made[name].float() - images.float()).abs().mean()) for name in ("jpeg-1", "jpeg-2", "jpeg-3")]
    assert errors == sorted(errors)
    assert len(torch.unique(made["duplicates"].flatten(1), dim=0)) == 2
    assert len(torch.unique(made["single"].flatten(1), dim=0)) == 1
    assert torch.equal(made["shuffled"].sum(dim=0), images.sum(dim=0))
    assert not any(torch.equal(a, b) for a, b in zip(made["shuffled"], images, strict=True))
    assert torch.equal(CONTROLS["noise"](images), made["noise"])  # the same every time


def record(name: str, values: Sequence[float]) -> Record:
    mean = sum(values) / len(values)
    quantity = Quantity(name, mean, mean - 10, mean + 10, len(values), "", True, {})
    return Record(CELL, "ok", None, (quantity,), {name: tuple(values)}, {}, {})


def test_verdicts() -> None:
    base = [float(index % 7) for index in range(40)]
    down = {"real": base, "noise": [v - 1 - 0.1 * (i % 3) for i, v in enumerate(base)], "blur-3": base}
    down |= {"shuffled": [v + 1 + 0.1 * (i % 3) for i, v in enumerate(base)], "single": [v - 2 for v in base[::-1]]}
    records = {name: record("brightness", values) for name, values in down.items()}
    found = {item.expectation.worse: item for item in findings(records, [BRIGHT])}
    assert found["noise"].verdict == "ordered"
    assert not found["noise"].flagged
    assert found["blur-3"].verdict == "cannot tell"
    assert found["blur-3"].flagged  # a metric that cannot see the strongest blur is no use
    assert found["shuffled"].verdict == "wrong order"
    assert "brightness does not put shuffled below real" in found["shuffled"].line


def test_what_is_expected_follows_what_a_metric_sees() -> None:
    sets, pairs = expectations(FrechetShapes.info), expectations(Attributes.info)
    assert Expectation("duplicates", "single") in sets
    assert Expectation("blur-1", "blur-2", needed=False) in sets
    assert "shuffled" not in {item.worse for item in sets}
    assert {"shuffled", "noise", "single"} <= {item.worse for item in pairs}


def test_a_blind_metric_is_flagged_on_the_command_line_and_in_the_records(
    toy: Control, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def real(self: fakes.ToySuite, prompts: Sequence[Prompt]) -> Tensor:
        return 255 - shapes(len(prompts)) // 3  # bright, so that noise is darker

    table = NameTable("method", {"sdxl": ("", "")}, "fewstep.tests.none")
    monkeypatch.setattr("methods.registry.METHODS", table)
    options = ["health", "--suite", "toy", "--device", "cpu", "--out", str(out), "--limit", "12"]
    assert main([*options, "--metrics", "brightness"]) == 2
    assert "has no real images of its prompts" in capsys.readouterr().err
    monkeypatch.setattr(fakes.ToySuite, "real_images", real)
    assert main([*options, "--metrics", "brightness"]) == 1
    shown = capsys.readouterr().out
    assert "FLAGGED brightness does not put blur-3 below real" in shown
    assert "does not put noise" not in shown
    found = {item.cell.method: item for item in read_records(out / "records")}
    assert set(found) == {f"health-{name}" for name in CONTROLS}
    flagged = found["health-real"].provenance["health"]["flagged"]
    assert any("blur-3" in line for line in flagged["brightness"])
    assert json.loads((out / "health.json").read_text())["flagged"] == flagged


def test_a_reference_of_the_same_images_leaves_the_controls_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco_info, "COUNT", 12)
    monkeypatch.setattr("bench.suites.coco.suite.SIZE", 16)
    suite = CocoSuite(write_coco(tmp_path / "coco"))
    whole = torch.cat(list(suite.reference_images()))
    held = HeldOut(suite, 5)
    images = held.reference_images()
    assert images is not None
    assert torch.equal(torch.cat(list(images)), whole[5:])
    assert held.reference_protocol.endswith("without the first 5")
    with pytest.raises(Exception, match="use a --limit of at most 6"):
        list(HeldOut(suite, 12).reference_images() or ())


@pytest.mark.slow
def test_the_metrics_of_the_embedded_suite_order_the_controls(tmp_path: Path) -> None:
    assert main(["health", "--device", "cpu", "--limit", "300", "--out", str(tmp_path / "out")]) == 0
