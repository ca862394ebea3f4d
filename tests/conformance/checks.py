"""What every method must do. `check_method` is all of it; a method of another package is checked by the same call.

Each check raises AssertionError with what was wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from methods.interface import Method, MethodInfo, SampleRequest
from methods.sampling import PipelineMethod

COMPONENTS = ("text_encoder", "text_encoder_2", "denoiser", "decoder")
PROMPTS = ("a red circle", "a large blue striped star on black", "a green moon and a yellow cross")
SEEDS = (0, 1, 2**33)
ROUNDING = 1  # levels of 255: another batch size sums in another order


def check_method(kind: type[Method], weights: Path, steps: tuple[int, ...]) -> None:
    """Load `kind` from `weights` and check everything, sampling at each count of `steps`."""
    check_info(kind)
    method = kind.load(weights, device=torch.device("cpu"), dtype=torch.float32)
    check_components(method)
    for count in steps:
        check_sample(method, count)
        check_evaluations(method, count)
    check_independence(method, steps[0])
    check_inputs_matter(method, steps[0])
    check_unsupported(method)
    if isinstance(method, PipelineMethod):
        check_stock_pipeline(method, steps[-1])


def request(steps: int) -> SampleRequest:
    """Three images whose prompts and seeds differ."""
    return SampleRequest(prompts=PROMPTS, seeds=SEEDS, num_inference_steps=steps)


def check_info(kind: type[Method]) -> None:
    """Every field says something, and the paper can be found."""
    info = kind.info
    assert isinstance(info, MethodInfo)
    for field in ("name", "title", "paper", "licence"):
        assert getattr(info, field).strip(), f"info.{field} is empty"
    assert info.name == info.name.lower()
    assert " " not in info.name
    assert info.arxiv is None or (len(info.arxiv) == 10 and info.arxiv[4] == "."), "info.arxiv is not an arXiv id"
    assert info.steps, "info.steps is empty"
    assert all(step >= 1 for step in info.steps)
    assert len(set(info.steps)) == len(info.steps)


def check_components(method: Method) -> None:
    """The four parts that the harness hooks are there, in eval mode, and take no gradient."""
    assert tuple(method.components) == COMPONENTS
    for name, module in method.components.items():
        assert isinstance(module, nn.Module), f"{name} is not a module"
        assert not module.training, f"{name} is in training mode"
        assert not any(p.requires_grad for p in module.parameters()), f"{name} takes gradients"


def check_sample(method: Method, steps: int) -> None:
    """uint8 (N, 3, H, W) on the CPU, the same each time, neither black nor white from overflow."""
    images = method.sample(request(steps))
    assert images.dtype == torch.uint8
    assert images.device.type == "cpu"
    assert images.ndim == 4
    assert images.shape[:2] == (len(PROMPTS), 3)
    assert images.unique().numel() > 2, f"{steps} steps: the images are blank"
    assert torch.equal(images, method.sample(request(steps))), f"{steps} steps: the second time gave other images"


def check_evaluations(method: Method, steps: int) -> None:
    """Each step evaluates the denoiser once an image, twice when guided classifier-free; the others run once."""
    guided = method.recipe.guidance == "classifier-free" and method.recipe.guidance_scale > 1
    with count_rows(method) as rows:
        method.sample(request(steps))
    expected = steps * (2 if guided else 1)
    found = rows["denoiser"] / len(PROMPTS)
    assert found == expected, f"{steps} steps: {found:g} denoiser evaluations an image, expected {expected}"
    for name in ("text_encoder", "text_encoder_2", "decoder"):
        assert rows[name] == len(PROMPTS), f"{name} saw {rows[name]} rows for {len(PROMPTS)} images"


def check_independence(method: Method, steps: int) -> None:
    """Image i is the same whatever stands beside it in the batch, in whatever order."""
    asked = request(steps)
    images = method.sample(asked)
    order = (2, 0, 1)
    moved = method.sample(
        replace(asked, prompts=tuple(PROMPTS[i] for i in order), seeds=tuple(SEEDS[i] for i in order))
    )
    for row, i in enumerate(order):
        alone = method.sample(replace(asked, prompts=PROMPTS[i : i + 1], seeds=SEEDS[i : i + 1]))
        assert distance(moved[row], images[i]) <= ROUNDING, f"image {i} depends on its place in the batch"
        assert distance(alone[0], images[i]) <= ROUNDING, f"image {i} depends on the other images of the batch"


def check_inputs_matter(method: Method, steps: int) -> None:
    """Another seed gives another image, and so does another prompt."""
    one = SampleRequest(PROMPTS[:1], SEEDS[:1], steps)
    image = method.sample(one)
    assert distance(method.sample(replace(one, seeds=SEEDS[1:2])), image) > ROUNDING, "the seed changes nothing"
    assert distance(method.sample(replace(one, prompts=PROMPTS[1:2])), image) > 0, "the prompt changes nothing"


def check_unsupported(method: Method) -> None:
    """What cannot be served has a one-line reason; what can be has none."""
    fewest, most = method.recipe.allowed_steps
    good = request(fewest)
    assert method.unsupported(good) is None
    assert method.unsupported(replace(good, guidance_scale=0.0)) is None, "guidance 0.0 is none, which all can do"
    bad = [
        replace(good, num_inference_steps=most + 1),
        replace(good, num_inference_steps=fewest - 1),
        replace(good, height=33),
        replace(good, width=0),
        replace(good, seeds=SEEDS[:1]),
        replace(good, prompts=(), seeds=()),
        replace(good, guidance_scale=-1.0),
        replace(good, guidance_scale=math.nan),
    ]
    if method.recipe.guidance == "none":
        bad.append(replace(good, guidance_scale=7.5))
    for asked in bad:
        reason = method.unsupported(asked)
        assert reason, f"{asked} has no reason"
        assert "\n" not in reason


def check_stock_pipeline(method: PipelineMethod, steps: int) -> None:
    """Calling the stock pipeline with the same arguments, as anyone would, gives the same images through PIL."""
    from torchvision.transforms.functional import pil_to_tensor

    pictures = method.pipe(**method.pipeline_arguments(request(steps))).images
    stock = torch.stack([pil_to_tensor(picture) for picture in pictures])
    assert distance(stock, method.sample(request(steps))) <= ROUNDING


@contextmanager
def count_rows(method: Method) -> Iterator[dict[str, int]]:
    """How many batch rows each component saw, counted from outside."""
    rows = dict.fromkeys(method.components, 0)

    def hook(name: str) -> object:
        def count(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            rows[name] += len(args[0])

        return count

    handles = [module.register_forward_pre_hook(hook(name)) for name, module in method.components.items()]  # type: ignore[arg-type]
    try:
        yield rows
    finally:
        for handle in handles:
            handle.remove()


def distance(a: Tensor, b: Tensor) -> int:
    """The largest difference of two uint8 images, in levels."""
    return int((a.int() - b.int()).abs().max())
