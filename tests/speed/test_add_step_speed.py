"""What a step of ADD costs beside the passes that it cannot do without, each timed alone: ratios in one run.

Beside the ratio of wall times stands that of the processor's time, which other work on the machine does not move. The
networks are the suite's and so is the recipe; an eye has random weights, which cost what trained ones do.
"""

from __future__ import annotations

import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from bench.suites.shapes.generator.networks import MAX_TOKENS, POOLED_WIDTH, TEXT_WIDTHS
from bench.suites.shapes.suite import ShapesSuite
from bench.suites.shapes.training.eye import make_eye
from bench.suites.shapes.training.eye_clip import EMBEDDING_WIDTH
from bench.suites.shapes.training.eyes import EYES
from bench.suites.shapes.training.students.add import ADD, ADD_RECIPE
from bench.suites.shapes.training.students.common import denoiser
from bench.training.heap import keep_heap
from methods.add.objective import AddObjective
from methods.adversarial.discriminator import hinge_discriminator, hinge_generator, r1_penalty
from methods.adversarial.features import FrozenFeatures
from methods.distill.compute import held
from methods.distill.denoiser import Condition
from methods.distill.ema import update_ema
from methods.distill.loop import Log, _Run, train
from methods.distill.products import quick_products

ROUNDS, WARM_UP = 8, 2


@pytest.fixture(scope="module")
def add() -> AddObjective:
    """The suite's networks under the suite's recipe, both players learning from the first step."""
    torch.manual_seed(0)
    folder = ShapesSuite().checkpoint("sdxl")
    teacher = UNet2DConditionModel.from_pretrained(folder / "unet").eval().requires_grad_(False)
    vae: Any = AutoencoderKL.from_pretrained(folder / "vae").eval().requires_grad_(False)
    size = EYES[ADD_RECIPE.features].size
    student = copy.deepcopy(teacher).requires_grad_(True)
    features = FrozenFeatures(make_eye(size), size.depths)
    recipe = replace(ADD_RECIPE, discriminator_lead=0)
    return AddObjective(denoiser(student), denoiser(teacher), vae, features, recipe, caption_width=EMBEDDING_WIDTH)


def batch(n: int) -> dict[str, Any]:
    """Random numbers in the shapes of a batch."""
    rng = torch.Generator().manual_seed(1)
    condition = Condition(
        torch.randn(n, MAX_TOKENS, sum(TEXT_WIDTHS), generator=rng),
        torch.randn(n, POOLED_WIDTH, generator=rng),
        torch.tensor([[32.0, 32, 0, 0, 32, 32]]).expand(n, -1),
    )
    latents = torch.randn(n, 8, 8, 8, generator=rng)
    pixels = torch.rand(n, 3, 32, 32, generator=rng) * 2 - 1
    caption = torch.randn(n, EMBEDDING_WIDTH, generator=rng)
    return {"latents": latents, "condition": condition, "pixels": pixels, "caption": caption}


def parameters(network: nn.Module) -> list[Tensor]:
    return [p for p in network.parameters() if p.requires_grad]


class Passes:
    """Each pass alone, on inputs that are ready, with a gradient that is ready."""

    def __init__(self, add: AddObjective, n: int) -> None:
        self.add, self.batch = add, batch(n)
        self.student, self.heads = add.student.unet, add.discriminator
        self.x, self.condition = self.batch["latents"], self.batch["condition"]
        self.t = torch.randint(20, 980, (n,), generator=torch.Generator().manual_seed(2))
        self.twice = self.x.repeat(2, 1, 1, 1), self.t.repeat(2), self.condition.null().with_(self.condition)
        self.latents = self.x.clone().requires_grad_()
        self.pixels = self.batch["pixels"].clone().requires_grad_()
        with torch.no_grad():
            self.tokens = add.features(self.pixels)[0]
            self.conditions = add._conditions(self.batch)
            self.slopes = [torch.randn_like(depth) for depth in self.tokens]
        self.fake, self.real = ([depth.clone().requires_grad_() for depth in self.tokens] for _ in range(2))
        self.run = _Run(add, ADD)
        networks = (self.student, self.heads)
        self.gradients = [(p, 1e-9 * torch.randn_like(p)) for network in networks for p in parameters(network)]

    def named(self) -> dict[str, Callable[[], object]]:
        return {
            "student forward and backward": self.student_both_ways,
            "teacher forward, both conditions": self.teacher_forward,
            "decoder forward, target": self.decoder_forward,
            "decoder forward and backward, student": self.decoder_both_ways,
            "features forward, real": self.features_forward,
            "features forward and backward, fake": self.features_both_ways,
            "heads, student": self.heads_of_student,
            "heads, discriminator, with R1": self.heads_of_discriminator,
            "optimisers": self.optimisers,
            "averages": self.averages,
        }

    def student_both_ways(self) -> object:
        made = unet(self.student, self.x, self.t, self.condition)
        return torch.autograd.grad(made, parameters(self.student), self.x)

    @torch.no_grad()
    def teacher_forward(self) -> object:
        return unet(self.add.teacher.unet, *self.twice)

    @torch.no_grad()
    def decoder_forward(self) -> object:
        return self.add.vae.decode(self.x).sample

    def decoder_both_ways(self) -> object:
        made: Any = self.add.vae.decode(self.latents).sample
        return torch.autograd.grad(made, [self.latents], self.batch["pixels"])

    @torch.no_grad()
    def features_forward(self) -> object:
        return self.add.features(self.batch["pixels"])

    def features_both_ways(self) -> object:
        return torch.autograd.grad(self.add.features(self.pixels)[0], [self.pixels], self.slopes)

    def heads_of_student(self) -> object:
        return torch.autograd.grad(hinge_generator(self.heads(self.fake, self.conditions)), self.fake)

    def heads_of_discriminator(self) -> object:
        on_real, on_fake = (self.heads(tokens, self.conditions) for tokens in (self.real, self.tokens))
        loss = hinge_discriminator(on_real, on_fake) + ADD_RECIPE.r1_gamma * r1_penalty(on_real, self.real)
        return torch.autograd.grad(loss, parameters(self.heads))

    def optimisers(self) -> None:
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        for optimizer in self.run.optimizers.values():
            optimizer.step()

    def averages(self) -> None:
        for name, average in self.run.averages.items():
            update_ema(average, self.run.trained[name], 0.99)


def unet(network: Any, x: Tensor, steps: Tensor, told: Condition) -> Tensor:
    added = {"text_embeds": told.pooled, "time_ids": told.time_ids}
    made: Tensor = network(x, steps, encoder_hidden_states=told.embeds, added_cond_kwargs=added).sample
    return made


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """(wall seconds, seconds of the processor)."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def in_turns(work: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of every round; each round starts with another."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    names = list(work)
    for round_ in range(-WARM_UP, rounds):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            spent = timed(work[name])
            if round_ >= 0:
                times[name].append(spent)
    return times


def steps(add: AddObjective, n: int) -> Iterator[Log]:
    given = batch(n)
    return train(add, lambda step: given, ADD)


def test_an_add_step_over_its_necessary_passes(benchmark: BenchmarkFixture, add: AddObjective) -> None:
    keep_heap()  # as the training does
    n = ADD.batch_size
    loop = steps(copy.deepcopy(add), n)
    next(loop)  # so that both have what the loop does to their networks
    for network in held(add):
        quick_products(network)
    work: dict[str, Callable[[], object]] = {"step": lambda: next(loop), **Passes(add, n).named()}
    times = in_turns(work)
    step = times.pop("step")
    for place, clock in enumerate(("wall", "processor")):
        rounds = [sum(rows[k][place] for rows in times.values()) for k in range(ROUNDS)]
        ratio = statistics.median(step[k][place] / rounds[k] for k in range(ROUNDS))
        benchmark.extra_info[f"step_over_passes_{clock}"] = ratio
        print(f"{clock}: {ratio:.3f}, step {statistics.median(row[place] for row in step):.3f} s", file=sys.stderr)  # noqa: T201
        for name, rows in times.items():
            spent = 1000 * statistics.median(row[place] for row in rows)
            print(f"   {name:40} {spent:8.1f} ms", file=sys.stderr)  # noqa: T201
    benchmark.pedantic(work["step"], rounds=1)
