"""The loss curves show what the table holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from bench.training.curves import draw_losses
from bench.training.logs import LOSSES, StageLogs
from methods.distill.loop import Log


def picture(folder: Path, losses: dict[str, list[float]]) -> np.ndarray:
    rows = [
        f"{step},{step / 10},0.001," + ",".join(str(values[step]) for values in losses.values()) for step in range(3)
    ]
    table = folder / "losses.csv"
    table.write_text("\n".join(["step,seconds,learning_rate," + ",".join(losses), *rows]) + "\n", encoding="utf-8")
    draw_losses(table, folder / "losses.png")
    with Image.open(folder / "losses.png") as image:
        return np.array(image.convert("L"))


def test_each_loss_has_a_panel_and_its_values_change_the_picture(tmp_path: Path) -> None:
    one = picture(tmp_path, {"student/v": [3.0, 2.0, 1.0]})
    two = picture(tmp_path, {"student/v": [3.0, 2.0, 1.0], "student/adversarial": [-1.0, 0.5, 2.0]})
    assert two.shape[0] == 2 * one.shape[0]
    assert not np.array_equal(one, picture(tmp_path, {"student/v": [1.0, 2.0, 3.0]}))
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".partial"] == []


def test_a_network_that_begins_to_learn_later_adds_its_columns(tmp_path: Path) -> None:
    logs = StageLogs(tmp_path, Console(quiet=True))
    heads = {"discriminator/hinge": 9.5}
    for step, losses in ((25, heads), (50, heads | {"student/distill": 0.25}), (75, {"discriminator/hinge": 9.0})):
        logs.write_losses(Log(step, losses, 0.001, step / 10, {}))
    assert (tmp_path / LOSSES).read_text(encoding="utf-8").splitlines() == [
        "step,seconds,learning_rate,discriminator/hinge,student/distill",
        "25,2.5,0.001,9.5",
        "50,5.0,0.001,9.5,0.25",
        "75,7.5,0.001,9,",
    ]
    logs.draw()
    assert (tmp_path / "losses.png").exists()
