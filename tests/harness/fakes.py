"""A suite, methods and metrics that are tiny and exact, with faults to inject."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from bench.judging import Judges, Prompt
from bench.metrics.interface import Metric, MetricBatch, MetricContext, MetricInfo, Score
from bench.suites.interface import Suite, SuiteInfo
from methods.errors import UsageError, WeightsError
from methods.interface import Method, MethodInfo, Recipe, SampleRequest
from tests.harness.tables import INFO


@dataclass
class Control:
    """What a test makes the fakes do, and what it saw them do."""

    weights: Path | None = None
    on_sample: Callable[[str, SampleRequest], None] | None = None
    on_module: Callable[[str], None] | None = None
    on_step: Callable[[], None] | None = None
    requests: list[tuple[str, SampleRequest]] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    extracted: int = 0

    @property
    def generated(self) -> list[tuple[str, SampleRequest]]:
        """Requests of more than one image: sampling, as against timing."""
        return [item for item in self.requests if len(item[1].prompts) > 1]


control = Control()


def reset() -> None:
    control.__init__()  # type: ignore[misc]


class Part(nn.Module):
    """Scales its input; tells the test that it ran."""

    def __init__(self, name: str, factor: float) -> None:
        super().__init__()
        self.name = name
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        if control.on_module is not None:
            control.on_module(self.name)
        return x * self.factor


class FakeMethod(Method):
    """Noise of its seed, scaled once a step; every image on its own."""

    factor: ClassVar[float] = 0.9

    def __init__(self, shift: float) -> None:
        self.recipe = Recipe(scheduler="Fake", timesteps={1: (999,)}, allowed_steps=(1, 8))
        self._shift = shift
        self._text = Part("text_encoder", 1.0)
        self._denoiser = Part("denoiser", self.factor)
        self._decoder = Part("decoder", 1.0)

    @classmethod
    def load(cls, weights: Path, *, device: torch.device, dtype: torch.dtype) -> Self:
        control.loads.append(cls.info.name)
        file = weights / "weights.txt"
        if not file.is_file():
            raise WeightsError(f"{weights} has no weights.txt; train it")
        return cls(float(file.read_text()))

    @property
    def components(self) -> Mapping[str, nn.Module]:
        return {"text_encoder": self._text, "denoiser": self._denoiser, "decoder": self._decoder}

    def unsupported(self, request: SampleRequest) -> str | None:
        return "at most 8 steps" if request.num_inference_steps > 8 else None

    def sample(self, request: SampleRequest) -> Tensor:
        control.requests.append((self.info.name, request))
        if control.on_sample is not None:
            control.on_sample(self.info.name, request)
        self._text(torch.ones(len(request.prompts), 1))
        x = torch.stack([torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(seed)) for seed in request.seeds])
        for step in range(request.num_inference_steps):
            x = self._denoise(x, step)
            if control.on_step is not None:
                control.on_step()
        x = self._decoder(x + self._shift)
        return (x.clamp(0, 1) * 255).round().to(torch.uint8)

    def _denoise(self, x: Tensor, step: int) -> Tensor:
        return self._denoiser(x, torch.tensor(999 - step))


class FakeADD(FakeMethod):
    info = MethodInfo("add", "ADD", "paper", None, "Apache-2.0", (1, 4))


class FakeLCM(FakeMethod):
    info = MethodInfo("lcm", "LCM", "paper", None, "Apache-2.0", (4, 1))
    factor = 0.5


class FakeGuided(FakeMethod):
    """Two rows an image in one denoiser call, as classifier-free guidance has."""

    info = MethodInfo("guided", "Guided", "paper", None, "Apache-2.0", (4,))

    def _denoise(self, x: Tensor, step: int) -> Tensor:
        doubled = self._denoiser(sample=torch.cat([x, x]), timestep=torch.tensor(step))
        return doubled[: len(x)]

    class _Keyword(Part):
        def forward(self, sample: Tensor, timestep: Tensor) -> Tensor:
            return super().forward(sample)

    def __init__(self, shift: float) -> None:
        super().__init__(shift)
        self._denoiser = self._Keyword("denoiser", self.factor)


class Extractor:
    """Mean of each channel."""

    name = "mean-colour"
    weights_hash = "0" * 64
    resize = "none"

    def __call__(self, images: Tensor) -> Tensor:
        control.extracted += len(images)
        return images.float().mean(dim=(2, 3))


class ToySuite(Suite):
    info: ClassVar[SuiteInfo] = INFO

    def prompts(self, limit: int | None = None) -> list[Prompt]:
        return [Prompt(f"{index:05}", f"prompt {index}", "all") for index in range(limit or INFO.default_limit)]

    def judges(self, device: torch.device) -> Judges:
        return Judges(recogniser=Extractor())

    def reference_features(self, extractor: str) -> Tensor:
        return torch.zeros(4, 3)

    @property
    def reference_protocol(self) -> str:
        return "zeros"

    def baseline_preference(self, prompts: Sequence[Prompt], seed: int) -> Tensor | None:
        return None

    def checkpoint(self, method: str) -> Path:
        assert control.weights is not None
        return control.weights / method


class Brightness(Metric):
    info = MetricInfo("brightness", "Brightness", "", True, "none", False, 1)

    def __init__(self, context: MetricContext) -> None:
        self._values: list[float] = []

    def update(self, batch: MetricBatch) -> None:
        self._values += [float(image.float().mean()) for image in batch.images]

    def compute(self) -> Score:
        n = len(self._values)
        mean = sum(self._values) / n
        return Score("brightness", mean, mean - 1, mean + 1, n, "", True, {"judge": "eye"}, tuple(self._values))


class Spread(Metric):
    info = MetricInfo("spread", "Spread", "", False, "none", True, 2)

    def __init__(self, context: MetricContext) -> None:
        assert context.reference is not None
        self._rows: list[Tensor] = []

    def update(self, batch: MetricBatch) -> None:
        assert batch.features is not None
        self._rows.append(batch.features)

    def compute(self) -> Score:
        value = float(torch.cat(self._rows).std())
        return Score("spread", value, value, value, len(torch.cat(self._rows)), "", False, {"extractor": "mean-colour"})


class Hungry(Brightness):
    info = MetricInfo("hungry", "Hungry", "", True, "none", False, 100)


class Choosy(Brightness):
    info = MetricInfo("choosy", "Choosy", "", True, "none", False, 1)

    def __init__(self, context: MetricContext) -> None:
        super().__init__(context)
        if context.seed != 0:
            raise UsageError("choosy needs seed 0")


class Broken(Brightness):
    info = MetricInfo("broken", "Broken", "", True, "none", False, 1)

    def compute(self) -> Score:
        raise ValueError("no sense")
