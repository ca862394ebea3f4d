"""Load a stock diffusers pipeline safely, and give it the scheduler of a recipe."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline, SchedulerMixin
from diffusers.utils import logging as diffusers_logging
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from torch import nn
from transformers.utils import logging as transformers_logging

from methods.checkpoints.families import Family
from methods.errors import FewstepError, WeightsError
from methods.interface import Recipe
from methods.loading import check_room, current
from methods.misfit import misfit
from methods.recipes import read_recipe, write_recipe
from methods.schedulers import OWN
from methods.weights import LORA, NOT_LOADED, SDXL, check_folder, check_lora_fits, stored_names

__all__ = [
    "apply_recipe",
    "call_arguments",
    "check_call",
    "fuse_lora",
    "load_pipeline",
    "make_scheduler",
    "quiet_libraries",
    "read_recipe",
    "takes_guidance",
    "timestep_arguments",
    "write_recipe",
]


TRIED_STEPS = 4
"""A count that every scheduler can make, whatever a recipe allows: PeRFlow needs a step in each of four windows."""
_ANGLES = ("max_timesteps", "intermediate_timesteps")
_CALLED_WITH = ("prompt", "generator", "guidance_scale", "height", "width", "num_inference_steps", "output_type")


def load_pipeline(
    folder: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    family: Family = SDXL,
    kind: type[DiffusionPipeline] | None = None,
) -> Any:
    """The pipeline of `family` from `folder`, in eval mode, without watermark, safety checker or progress bar.

    `kind` is its class where diffusers has none of that name.

    Raises:
        WeightsError: where the folder is missing, incomplete, damaged or unsafe, naming the file.
    """
    check_folder(folder, family)
    bases = current().bases
    if bases is not None and (held := bases.take(folder, device, dtype)) is not None:
        return held
    check_room(folder, device, dtype)
    kind = getattr(diffusers, family.pipeline) if kind is None else kind
    try:
        with quiet_libraries():
            pipe: Any = kind.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True, **_left_out(kind)
            )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        reason = misfit(folder) or f"diffusers cannot load it: {_first_line(error)}"
        raise WeightsError(f"{folder}: {reason}") from error
    for name in family.networks:
        _check_complete(folder / name, getattr(pipe, name))
        getattr(pipe, name).eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)
    if current().offload != "none":
        return pipe  # `settle` places it, once its weights are complete
    if device.type != "cpu":  # where it is already; asking the pipeline to go there takes a tenth of a small load
        pipe.to(device)
    if bases is not None:
        bases.keep(pipe, folder, device, dtype)
    return pipe


def _left_out(kind: Any) -> dict[str, Any]:
    """What `from_pretrained` of a pipeline class is told to do without."""
    known = inspect.signature(kind).parameters
    without: dict[str, Any] = {name: None for name in NOT_LOADED if name in known}
    without |= {name: False for name in ("add_watermarker", "requires_safety_checker") if name in known}
    return without


def fuse_lora(pipe: Any, folder: Path, *, scale: float = 1.0, denoiser: str = "unet") -> None:
    """Add `scale` times the LoRA in `folder` to the weights of `pipe`, whose denoiser is an ordinary one afterwards.

    Raises:
        WeightsError: where it does not fit the pipeline's denoiser.
    """
    check_lora_fits(folder)
    try:
        with quiet_libraries():
            pipe.load_lora_weights(folder, weight_name=LORA, local_files_only=True)
            if (bases := current().bases) is not None:
                bases.touch(pipe, _adapted(getattr(pipe, denoiser)))
            pipe.fuse_lora(components=[denoiser], lora_scale=scale)
            pipe.unload_lora_weights()
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise WeightsError(f"{folder / LORA}: diffusers cannot load it: {_first_line(error)}") from error
    getattr(pipe, denoiser).eval().requires_grad_(False)


def _adapted(network: nn.Module) -> set[str]:
    """The tensors of `network` as it was without adapters, to which some adapter adds."""
    layers = (name for name, module in network.named_modules() if isinstance(module, BaseTunerLayer))
    return {f"{name}.weight" for name in layers}


def apply_recipe(pipe: Any, recipe: Recipe, family: Family = SDXL) -> None:
    """Give `pipe` the recipe's scheduler, and refuse a recipe that its networks were not trained for.

    Raises:
        WeightsError: naming the field of the recipe that does not fit.
    """
    embedded = takes_guidance(pipe, family)
    if embedded != (recipe.guidance == "embedded"):
        takes = "takes" if embedded else "has no input for"
        name = "UNet" if family.denoiser == "unet" else "transformer"
        raise WeightsError(f"guidance {recipe.guidance!r} does not fit: the {name} {takes} an embedded guidance scale")
    if recipe.vae_dtype == "float32":
        pipe.vae.register_to_config(force_upcast=True)
    pipe.scheduler = make_scheduler(pipe.scheduler.config, recipe, family)


def takes_guidance(pipe: Any, family: Family) -> bool:
    """Whether the denoiser has an input for a guidance scale."""
    return family.embeds_guidance is not None and bool(
        getattr(getattr(pipe, family.denoiser).config, family.embeds_guidance, None)
    )


def make_scheduler(config: Mapping[str, Any], recipe: Recipe, family: Family = SDXL) -> Any:
    """A diffusers scheduler: the recipe's class, from the checkpoint's `config` with the recipe's overrides.

    Raises:
        WeightsError: for an unknown class, override or value, or noise prediction at zero terminal SNR.
    """
    kind = _scheduler_class(recipe.scheduler)
    known = inspect.signature(kind).parameters
    if unknown := sorted(set(recipe.scheduler_config) - set(known)):
        raise WeightsError(f"scheduler_config has {unknown[0]!r}, which {recipe.scheduler} does not take")
    if recipe.timesteps and "timesteps" not in inspect.signature(kind.set_timesteps).parameters:
        raise WeightsError(f"{recipe.scheduler} takes no explicit timesteps; leave timesteps out of the recipe")
    try:
        with quiet_libraries(), warnings.catch_warnings():
            # another class's settings in `config` are expected, and left aside; DPM-Solver is an older baseline
            warnings.filterwarnings("ignore", ".*dpmsolver is deprecated", FutureWarning)
            scheduler: Any = kind.from_config(config, **recipe.scheduler_config)
        _check_schedule(scheduler, recipe)
        if not scheduler.config.get("use_dynamic_shifting"):  # which the pipeline alone knows the size for
            fewest, most = recipe.allowed_steps
            scheduler.set_timesteps(**timestep_arguments(recipe, min(max(fewest, TRIED_STEPS), most), family))
    except (ValueError, TypeError, NotImplementedError, ImportError) as error:
        raise WeightsError(f"scheduler_config does not fit {recipe.scheduler}: {_first_line(error)}") from error
    return scheduler


def call_arguments(recipe: Recipe, num_inference_steps: int) -> dict[str, Any]:
    """The recipe's own arguments of the pipeline's call at a step count."""
    return {**recipe.arguments, **recipe.step_arguments.get(num_inference_steps, {})}


def check_call(pipe: Any, recipe: Recipe, family: Family = SDXL) -> None:
    """Does the pipeline's call still take everything that it will be given? Some swallow what they do not know.

    Raises:
        FewstepError: naming the argument that this version of diffusers does not take.
    """
    known = inspect.signature(type(pipe).__call__).parameters
    needed = {*_CALLED_WITH, *family.fixed_arguments, *recipe.arguments}
    needed |= {name for row in recipe.step_arguments.values() for name in row}
    needed |= {
        name for name, used in (("timesteps", recipe.timesteps), ("negative_prompt", recipe.negative_prompt)) if used
    }
    if missing := sorted(needed - set(known)):
        raise FewstepError(
            f"{type(pipe).__name__} of diffusers {diffusers.__version__} takes no {missing[0]!r};"
            " install the versions of constraints.txt"
        )


def timestep_arguments(recipe: Recipe, num_inference_steps: int, family: Family = SDXL) -> dict[str, Any]:
    """What the stock pipeline of `family` calls `set_timesteps` with under `recipe`."""
    if num_inference_steps in recipe.timesteps:
        return {"timesteps": list(recipe.timesteps[num_inference_steps])}
    own = call_arguments(recipe, num_inference_steps)
    angles: dict[str, Any] = {name: own[name] for name in _ANGLES if name in own}
    if family.gives_sigmas:
        levels = [1.0 - i / num_inference_steps for i in range(num_inference_steps)]
        return {"num_inference_steps": num_inference_steps, "sigmas": levels}
    return {"num_inference_steps": num_inference_steps, **angles}


def _scheduler_class(name: str) -> Any:
    found = getattr(importlib.import_module(OWN[name]) if name in OWN else diffusers, name, None)
    if not (isinstance(found, type) and issubclass(found, SchedulerMixin)):
        raise WeightsError(f"scheduler {name!r} is not a scheduler of diffusers {diffusers.__version__}")
    return found


def _check_schedule(scheduler: Any, recipe: Recipe) -> None:
    config = scheduler.config
    if config.get("rescale_betas_zero_snr") and config.get("prediction_type") == "epsilon":
        raise WeightsError(
            "noise prediction gives no image at zero terminal SNR; use prediction_type 'v_prediction' or 'sample'"
        )
    noisiest = max((row[0] for row in recipe.timesteps.values()), default=0)
    if noisiest >= config.num_train_timesteps:
        raise WeightsError(f"timesteps has {noisiest}; the schedule ends at {config.num_train_timesteps - 1}")


def _check_complete(folder: Path, network: nn.Module) -> None:
    """Refuse a network of which a parameter was not on disk: the libraries leave those random or empty."""
    missing = [name for name, value in network.named_parameters() if value.is_meta]
    if not missing and _is_from_transformers(network):
        stored = {name.removeprefix("text_model.") for name in stored_names(folder)}
        missing = [name for name, _ in network.named_parameters() if name.removeprefix("text_model.") not in stored]
    if missing:
        raise WeightsError(f"{folder}: {len(missing)} tensors are missing, such as {missing[0]}; get or train it again")


def _is_from_transformers(network: nn.Module) -> bool:
    return type(network).__module__.partition(".")[0] == "transformers"


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence diffusers' and transformers' own bars and reports: the harness draws the progress, and errors say why."""
    libraries = (diffusers_logging, transformers_logging)
    levels = [library.get_verbosity() for library in libraries]
    bars = [library.is_progress_bar_enabled() for library in libraries]
    for library in libraries:
        library.disable_progress_bar()
        library.set_verbosity(library.CRITICAL)
    try:
        yield
    finally:
        for library, level, bar in zip(libraries, levels, bars, strict=True):
            library.set_verbosity(level)
            if bar:
                library.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
