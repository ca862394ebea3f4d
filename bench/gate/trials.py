"""The gate on this machine, for real: A/A gates, and gates of a checkout in which something was planted.

Each trial is a whole gate between two trees of one commit. It leaves one JSON file; those there already are not run
again, so that trials can be stopped and go on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import FewstepError
from bench.folder import write_json
from bench.gate.checkout import checked_out
from bench.gate.lines import lines
from bench.gate.outputs import as_json
from bench.gate.run import Request, gate_trees
from bench.gate.selftest import ALARMS
from bench.gate.sides import Settings, Side
from bench.gate.verdicts import Verdict

AA_TRIALS = 20
PLANTED_FILE = "methods/sampling.py"
SETTINGS = Settings(("add",), (1, 4))
"""Two cells."""

_WRAP = """

_planted_load = PipelineMethod.load.__func__


def _planted(cls, weights, *, device, dtype):
    method = _planted_load(cls, weights, device=device, dtype=dtype)
    _damage(method.pipe)
    return method


PipelineMethod.load = classmethod(_planted)
"""

PLANTS: Mapping[str, str] = {
    "sleep": """

def _damage(pipe):
    import time

    forward = pipe.unet.forward

    def slower(*args, **kwargs):
        start = time.perf_counter()
        output = forward(*args, **kwargs)
        time.sleep(0.05 * (time.perf_counter() - start))
        return output

    pipe.unet.forward = slower
""",
    "spacing": """

def _damage(pipe):
    pipe.scheduler = type(pipe.scheduler).from_config({**pipe.scheduler.config, "timestep_spacing": "leading"})
""",
    "quantised": """

def _damage(pipe):
    with torch.no_grad():
        for parameter in pipe.unet.parameters():
            step = parameter.abs().max() / 7
            parameter.copy_((parameter / step.clamp(min=1e-12)).round() * step)
""",
}
"""What is planted into the code of a checkout: a sleep of 5 % of the denoiser's time, timesteps spaced otherwise than
the recipe says, and weights of the denoiser rounded to 4 bits."""

PLANTED_TRIALS = ("sleep",) * 4 + ("spacing",) * 3 + ("quantised",) * 3


@dataclass(frozen=True)
class Trial:
    """One gate, by name: nothing planted where `plant` is None."""

    name: str
    plant: str | None

    def good(self, verdict: str) -> bool:
        """Whether the gate said what it should: no alarm, or one."""
        alarmed = Verdict(verdict) in ALARMS
        return alarmed if self.plant else not alarmed


def trials() -> list[Trial]:
    """All of them."""
    alike = [Trial(f"aa-{number:02}", None) for number in range(1, AA_TRIALS + 1)]
    return alike + [Trial(f"planted-{number:02}-{name}", name) for number, name in enumerate(PLANTED_TRIALS, 1)]


def run_trials(request: Request, most: int | None = None, only: str = "") -> Iterator[tuple[Trial, Mapping[str, Any]]]:
    """Run the trials that are missing in `request.out`, at most `most` of them; yield all there are then.

    `only` is a part of the names that are run.

    Raises:
        FewstepError: where this is no git checkout, or a file there is no trial.
    """
    left = len(trials()) if most is None else most
    for trial in trials():
        path = request.out / f"{trial.name}.json"
        if not path.is_file() and left > 0 and only in trial.name:
            left -= 1
            request.tell(f"trial {trial.name}")
            _run(trial, request, path)
        if path.is_file():
            yield trial, _read(path)


def _run(trial: Trial, request: Request, path: Path) -> None:
    work = request.out / "work"
    shutil.rmtree(work, ignore_errors=True)
    with checked_out("HEAD") as base, checked_out("HEAD") as head:
        plant(head, trial.plant)
        outcome = gate_trees(Side("base", base), Side("head", head), replace(request, out=work))
    for line in lines(outcome):
        request.tell(line)
    write_json(path, {"trial": trial.name, "plant": trial.plant, **as_json(outcome)})
    shutil.rmtree(work, ignore_errors=True)


def plant(tree: Path, name: str | None) -> None:
    """Damage the code of `tree`; None leaves it as it is."""
    if name is not None:
        file = tree / PLANTED_FILE
        file.write_text(file.read_text(encoding="utf-8") + PLANTS[name] + _WRAP, encoding="utf-8")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"verdict": str(Verdict(found["verdict"])), "seconds": float(found["seconds"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FewstepError(f"{path} is no trial ({error}); delete it, and the trial is run again") from error
