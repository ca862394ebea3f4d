"""The example package of the documentation: built, installed into an environment of its own, listed and run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/example_plugin"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that sees this one's packages, with the example installed, and one that is broken."""
    folder = tmp_path_factory.mktemp("plugin")
    venv.create(folder / "env", with_pip=False)
    found = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / Path(sys.executable).name
    site = next((folder / "env").rglob("site-packages"))
    (site / "outer.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    install(found, build(EXAMPLE, folder / "wheels"))
    install(found, build(broken_package(folder / "broken"), folder / "wheels-broken"))
    return found


def broken_package(folder: Path) -> Path:
    """A package whose method cannot be imported, and whose metric has the name of another."""
    shutil.copytree(EXAMPLE, folder)
    (folder / "fewstep_example.py").rename(folder / "fewstep_broken.py")
    (folder / "fewstep_broken.py").write_text("raise RuntimeError('needs a newer driver')\n")
    text = (folder / "pyproject.toml").read_text()
    text = text.replace("fewstep-example", "fewstep-broken").replace("fewstep_example", "fewstep_broken")
    text = text.replace("sdxl-euler-a =", "sdxl-broken =").replace("red-shapes =", "blue-shapes =")
    text = text.replace("colourfulness =", "kid-shapes =")
    (folder / "pyproject.toml").write_text(text)
    return folder


def build(source: Path, wheels: Path) -> Path:
    copy = Path(shutil.copytree(source, wheels.with_name(wheels.name + "-source")))  # a build leaves files behind
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(wheels)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(copy)], check=True, capture_output=True)
    return next(wheels.glob("*.whl"))


def install(python: Path, wheel: Path) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)


def bench(python: Path, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-m", "bench", *arguments], cwd=folder or ROOT, capture_output=True, text=True, check=False
    )


def test_the_module_is_the_forty_lines_that_are_promised() -> None:
    lines = (EXAMPLE / "fewstep_example.py").read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line.strip() and not line.lstrip().startswith(("#", '"""'))]
    assert len(code) <= 40


def test_list_shows_where_each_name_comes_from_and_what_is_broken(python: Path) -> None:
    done = bench(python, "list")
    assert done.returncode == 0, done.stderr
    for name in ("sdxl-euler-a", "red-shapes"):
        (line,) = [line for line in done.stdout.splitlines() if line.split()[:1] == [name]]
        assert line.endswith("[fewstep-example 0.1.0]")
        assert "Example plugin" in line
    assert done.stderr.count("broken: ") == 1
    assert "metric 'kid-shapes' is defined twice: bench.metrics.kernel:KernelShapes (fewstep-bench) and" in done.stderr
    listed = json.loads(bench(python, "list", "--json").stdout)
    sources = {entry["name"]: entry["source"] for kind in listed.values() for entry in kind}
    assert sources["sdxl-broken"] == "fewstep-broken 0.1.0"
    assert sources["add"] == "fewstep-bench"


def test_a_run_with_all_three_and_a_broken_one_beside_them(python: Path, tmp_path: Path) -> None:
    options = ("--steps", "1", "--limit", "4", "--batch-size", "4", "--device", "cpu", "--out", str(tmp_path / "out"))
    done = bench(
        python, "run", "--methods", "sdxl-broken,sdxl-euler-a", "--suite", "red-shapes", *options,
        "--metrics", "colourfulness,attributes", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    records = {record["cell"]["method"]: record for record in map(read, (tmp_path / "out/records").glob("*.json"))}
    assert records["sdxl-broken"]["status"] == "failed"
    assert "needs a newer driver" in records["sdxl-broken"]["reason"]
    assert "fewstep-broken 0.1.0" in records["sdxl-broken"]["reason"]
    assert records["sdxl-euler-a"]["status"] == "ok"
    assert records["sdxl-euler-a"]["provenance"]["recipe"]["scheduler"] == "EulerAncestralDiscreteScheduler"
    quantities = {quantity["name"]: quantity for quantity in records["sdxl-euler-a"]["quantities"]}
    assert quantities["colourfulness"]["n"] == quantities["attributes"]["n"] == 4
    prompts = read(tmp_path / "out/prompts.json")
    assert len(prompts) == 4
    assert all("red" in prompt["text"].split() for prompt in prompts)


def read(path: Path) -> Any:
    found: Any = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_the_metric_of_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from bench.metrics.interface import MetricBatch

    monkeypatch.syspath_prepend(EXAMPLE)
    from fewstep_example import Colourfulness  # type: ignore[import-not-found]

    grey, red = torch.full((1, 3, 4, 4), 90), torch.zeros(1, 3, 4, 4)
    red[:, 0] = 100
    metric = Colourfulness(None)
    metric.update(MetricBatch(torch.cat([grey, red]).to(torch.uint8), (), None))
    score = metric.compute()
    assert score.per_image == (0.0, pytest.approx(0.3 * (100**2 + 50**2) ** 0.5))  # no spread, means 100 and 50
    assert score.ci_low < score.value < score.ci_high
