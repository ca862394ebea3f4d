"""For notebooks: `evaluate(pipe, suite="shapes", steps=[1, 4])` gives a DataFrame."""

from __future__ import annotations

import inspect
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
from methods.hub.resolve import DENOISERS
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
        subject: a stock diffusers pipeline, which is sampled with the scheduler it has; any `methods.interface.Method`;
            or a `bench.ImageFunction` around whatever makes images from prompts and seeds.
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
    device, dtype = _place(method)
    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(
            methods=name,
            steps=",".join(str(count) for count in steps),
            suite=suite,
            out=Path(folder),
            limit=limit,
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            seed=seed,
            metrics=None if metrics is None else ",".join(metrics),
            guidance_scale=guidance_scale,
        )
        plan = make_plan(request, NameTable("method", {name: ("", "given in memory")}, group="fewstep.given"))
        with Progress(plan.cells) as progress:
            records = run(plan, Resume(plan), progress, given=lambda _cell: Loaded(method, "given in memory"))
    return tidy(_measured(records.values()))[list(TIDY_COLUMNS)]


def _place(method: Method) -> tuple[str, str]:
    """Device and dtype: the denoiser's, or those that a method without networks names."""
    parameters = (p for module in _denoiser_first(method.components) for p in module.parameters())
    parameter = next(parameters, None)
    if parameter is None:
        return str(getattr(method, "device", "cpu")), "float32"
    return parameter.device.type, str(parameter.dtype).removeprefix("torch.")


def _denoiser_first(components: Mapping[str, nn.Module]) -> list[nn.Module]:
    return [components[name] for name in sorted(components, key=lambda name: name != "denoiser")]


class _GivenPipeline(Method):
    """A stock pipeline as it is: its own scheduler, no guidance unless asked for."""

    info = MethodInfo("mine", "a pipeline given in memory", "", None, "", (1,))

    def __init__(self, pipe: Any) -> None:
        self._denoiser = next((part for part in DENOISERS if getattr(pipe, part, None) is not None), None)
        needed = ("vae", "text_encoder", "scheduler")
        missing = ["unet or transformer"] if self._denoiser is None else []
        if missing := missing + [name for name in needed if getattr(pipe, name, None) is None]:
            raise UsageError(
                f"evaluate takes a Method or a diffusers pipeline; {type(pipe).__name__} object has no {missing[0]}; "
                "wrap what makes its images in bench.ImageFunction"
            )
        self._pipe = pipe
        self._known = set(inspect.signature(pipe.__call__).parameters)
        self.recipe = Recipe(scheduler=type(pipe.scheduler).__name__, scheduler_config=dict(pipe.scheduler.config))

    @classmethod
    def load(cls, weights: Path, *, device: torch.device, dtype: torch.dtype) -> Self:
        return cls(load_pipeline(weights, device=device, dtype=dtype))

    @property
    def components(self) -> Mapping[str, nn.Module]:
        names = ("text_encoder", "text_encoder_2", "text_encoder_3")
        encoders = {name: getattr(self._pipe, name, None) for name in names}
        found = {name: encoder for name, encoder in encoders.items() if encoder is not None}
        return {**found, "denoiser": getattr(self._pipe, str(self._denoiser)), "decoder": self._pipe.vae.decoder}

    def unsupported(self, request: SampleRequest) -> str | None:
        return None if request.prompts else "no prompts were given"

    def sample(self, request: SampleRequest) -> Tensor:
        arguments = {
            "prompt": list(request.prompts),
            "generator": generators(request.seeds),
            "num_inference_steps": request.num_inference_steps,
            "guidance_scale": 1.0 if request.guidance_scale is None else request.guidance_scale,
            "height": request.height,
            "width": request.width,
            "output_type": "pt",
        }
        given = {name: value for name, value in arguments.items() if value is not None and name in self._known}
        return to_uint8(self._pipe(**given).images)


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
