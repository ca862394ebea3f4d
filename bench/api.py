"""For notebooks: `evaluate(pipe, suite="shapes", steps=[1, 4])` gives a DataFrame."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pandas as pd
import torch
from torch import Tensor, nn

from bench.errors import FewstepError, UsageError
from bench.plan import RunRequest, make_plan
from bench.progress import Progress, cell_title
from bench.record import Record
from bench.report.frame import TIDY_COLUMNS, tidy
from bench.resume import Resume
from bench.runner import Loaded, run
from methods.diffusion.noise import generators
from methods.interface import Method, MethodInfo, Recipe, SampleRequest
from methods.names import NameTable
from methods.pipelines import load_pipeline
from methods.sampling import to_uint8


def evaluate(
    subject: Any,
    *,
    suite: str = "shapes",
    steps: Sequence[int] = (1, 4),
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = RunRequest.batch_size,
    guidance_scale: float | None = None,
    metrics: Iterable[str] | None = None,
    name: str = "mine",
) -> pd.DataFrame:
    """Measure a method or a diffusers pipeline that is loaded already, under the suite's protocol.

    Args:
        subject: a `methods.interface.Method`, or a stock SDXL pipeline, which is sampled with the scheduler it has.
        suite: a name of `bench list suites`.
        steps: step counts, 1 to 1000.
        limit: how many prompts; the suite's own number where None.
        seed: image i has its own seed from it.
        batch_size: images sampled at once.
        guidance_scale: in diffusers' sense, 1.0 being none; the method's own where None. A pipeline has none of its
            own and is sampled without guidance then.
        metrics: names of `bench list metrics`; the suite's own where None.
        name: what the rows are called.

    Returns:
        One row a (step count, quantity), with the columns of results.csv.

    Raises:
        UsageError: where the request makes no sense.
        FewstepError: where a step count cannot be measured, with the reason.
    """
    method = subject if isinstance(subject, Method) else _GivenPipeline(subject)
    parameter = next(method.components["denoiser"].parameters())
    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(
            methods=name,
            steps=",".join(str(count) for count in steps),
            suite=suite,
            out=Path(folder),
            limit=limit,
            device=parameter.device.type,
            dtype=str(parameter.dtype).removeprefix("torch."),
            batch_size=batch_size,
            seed=seed,
            metrics=None if metrics is None else ",".join(metrics),
            guidance_scale=guidance_scale,
        )
        plan = make_plan(request, NameTable("method", {name: ("", "given in memory")}, group="fewstep.given"))
        with Progress(plan.cells) as progress:
            records = run(plan, Resume(plan), progress, given=lambda _cell: Loaded(method, "given in memory"))
    return tidy(_measured(records.values()))[list(TIDY_COLUMNS)]


class _GivenPipeline(Method):
    """A stock SDXL pipeline as it is: its own scheduler, no guidance unless asked for."""

    info = MethodInfo("mine", "a pipeline given in memory", "", None, "", (1,))

    def __init__(self, pipe: Any) -> None:
        needed = ("unet", "vae", "text_encoder", "text_encoder_2", "scheduler")
        if missing := [name for name in needed if getattr(pipe, name, None) is None]:
            raise UsageError(
                f"evaluate takes a Method or an SDXL pipeline; {type(pipe).__name__} has no {missing[0]}; "
                "write a Method around it"
            )
        self._pipe = pipe
        self.recipe = Recipe(scheduler=type(pipe.scheduler).__name__, scheduler_config=dict(pipe.scheduler.config))

    @classmethod
    def load(cls, weights: Path, *, device: torch.device, dtype: torch.dtype) -> Self:
        return cls(load_pipeline(weights, device=device, dtype=dtype))

    @property
    def components(self) -> Mapping[str, nn.Module]:
        pipe = self._pipe
        encoders = {"text_encoder": pipe.text_encoder, "text_encoder_2": pipe.text_encoder_2}
        return {**encoders, "denoiser": pipe.unet, "decoder": pipe.vae.decoder}

    def unsupported(self, request: SampleRequest) -> str | None:
        return None if request.prompts else "no prompts were given"

    def sample(self, request: SampleRequest) -> Tensor:
        guidance_scale = 1.0 if request.guidance_scale is None else request.guidance_scale
        output = self._pipe(
            prompt=list(request.prompts),
            generator=generators(request.seeds),
            num_inference_steps=request.num_inference_steps,
            guidance_scale=guidance_scale,
            height=request.height,
            width=request.width,
            output_type="pt",
        )
        return to_uint8(output.images)


def _measured(records: Iterable[Record]) -> list[Record]:
    """The records, where all are measured.

    Raises:
        FewstepError: with the reason of the first that is not.
    """
    found = list(records)
    for record in found:
        if record.status != "ok":
            raise FewstepError(f"{cell_title(record.cell)}: {record.status}: {record.reason}")
    return found
