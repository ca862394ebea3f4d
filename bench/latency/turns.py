"""Times calls when asked to, for a gate that visits two checkouts in turn. A script: it imports from the given tree.

    python -P turns.py '{"tree": ..., "cells": [["add", 1]], "suite": "shapes", ...}'

It says {"loaded": true} when it has loaded. To a line {"warm_up": true} it answers {"ready": {cell: seconds of a call}}
when it has warmed up, and to {"cell": 0, "calls": 8} {"total": seconds, "stages": {stage: seconds}}, lower quartiles of
the calls, until its input ends. Of the tree it uses little, so that an older commit can be asked too. What libraries
print goes to stderr.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, TextIO

WARM_UP = 3
PROMPTS = 16


def main() -> None:
    """Load, say what a call takes, answer questions."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    config = json.loads(sys.argv[1])
    _check_tree(Path(config["tree"]))
    cells = _Cells(config)
    _say(answers, {"loaded": True})
    for line in sys.stdin:
        asked = json.loads(line)
        warm_up = asked.get("warm_up", False)
        _say(answers, {"ready": cells.ready()} if warm_up else cells.visit(int(asked["cell"]), int(asked["calls"])))


class _Cells:
    """The methods of all cells, loaded, with the requests that they are timed on."""

    def __init__(self, config: dict[str, Any]) -> None:
        import torch

        from bench import registry
        from bench.probe import clock_of
        from methods.registry import METHODS

        torch.set_grad_enabled(False)
        device, dtype = torch.device(config["device"]), getattr(torch, config["dtype"])
        self._clock = clock_of(config["device"])
        suite = registry.SUITES.load(config["suite"])()
        prompts = suite.prompts(min(PROMPTS, int(config["limit"])))
        loaded: dict[str, Any] = {}
        self._cells: dict[int, tuple[Any, list[Any]]] = {}
        for index, (name, steps) in enumerate(config["cells"]):
            cls = METHODS.load(name)
            checkpoint = cls.info.checkpoint(steps)
            if checkpoint not in loaded:
                loaded[checkpoint] = cls.load(suite.checkpoint(checkpoint), device=device, dtype=dtype)
            requests = _requests(prompts, steps, int(config["seed"]))
            if loaded[checkpoint].unsupported(requests[0]) is None:
                self._cells[index] = loaded[checkpoint], requests

    def ready(self) -> dict[int, float]:
        """Warm up each cell; {cell: seconds of its last call}."""
        seconds = {}
        for index, (method, requests) in self._cells.items():
            for request in requests[:WARM_UP]:
                start = time.perf_counter()
                method.sample(request)
                seconds[index] = time.perf_counter() - start
        return seconds

    def visit(self, cell: int, calls: int) -> dict[str, Any]:
        """The lower quartile of `calls` calls: what else a machine does only ever adds to a call."""
        from bench.probe import time_sample

        method, requests = self._cells[cell]
        timings = [time_sample(method, requests[index % len(requests)], self._clock) for index in range(calls)]
        stages = {part: _quartile([timing.parts.get(part, 0.0) for timing in timings]) for part in timings[0].parts}
        return {"total": _quartile([timing.total for timing in timings]), "stages": stages}


def _requests(prompts: list[Any], steps: int, seed: int) -> list[Any]:
    from bench.judging import image_seed
    from methods.interface import SampleRequest

    return [
        SampleRequest(prompts=(prompt.text,), seeds=(image_seed(seed, index),), num_inference_steps=steps)
        for index, prompt in enumerate(prompts)
    ]


def _quartile(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=4, method="inclusive")[0]


def _check_tree(tree: Path) -> None:
    """Refuse to time another tree than the one asked for."""
    import bench

    found = Path(str(bench.__file__)).resolve().parents[1]
    if found != tree.resolve():
        sys.exit(f"the packages came from {found}, not from {tree}")


def _say(answers: TextIO, value: Any) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
