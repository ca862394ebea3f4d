"""Load a stock diffusers SDXL pipeline safely, and give it the scheduler of a recipe."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import SchedulerMixin, StableDiffusionXLPipeline
from diffusers.utils import logging as diffusers_logging
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from torch import nn
from transformers.utils import logging as transformers_logging

from methods.errors import WeightsError
from methods.interface import Recipe
from methods.loading import check_room, current
from methods.misfit import misfit
from methods.recipes import read_recipe, write_recipe
from methods.weights import LORA, NETWORKS, check_folder, check_lora_fits, stored_names

__all__ = [
    "apply_recipe",
    "fuse_lora",
    "load_pipeline",
    "make_scheduler",
    "quiet_libraries",
    "read_recipe",
    "write_recipe",
]


def load_pipeline(folder: Path, *, device: torch.device, dtype: torch.dtype) -> Any:
    """The `StableDiffusionXLPipeline` in `folder`, in eval mode, without watermark or progress bar.

    Raises:
        WeightsError: where the folder is missing, incomplete, damaged or unsafe, naming the file.
    """
    check_folder(folder)
    bases = current().bases
    if bases is not None and (held := bases.take(folder, device, dtype)) is not None:
        return held
    check_room(folder, device, dtype)
    try:
        with quiet_libraries():
            pipe: Any = StableDiffusionXLPipeline.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True, add_watermarker=False
            )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        reason = misfit(folder) or f"diffusers cannot load it: {_first_line(error)}"
        raise WeightsError(f"{folder}: {reason}") from error
    for name in NETWORKS:
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


def fuse_lora(pipe: Any, folder: Path) -> None:
    """Add the LoRA in `folder` to the weights of `pipe`, whose UNet is an ordinary one again afterwards.

    Raises:
        WeightsError: where it does not fit the pipeline's UNet.
    """
    check_lora_fits(folder)
    try:
        with quiet_libraries():
            pipe.load_lora_weights(folder, weight_name=LORA, local_files_only=True)
            if (bases := current().bases) is not None:
                bases.touch(pipe, _adapted(pipe.unet))
            pipe.fuse_lora(components=["unet"])
            pipe.unload_lora_weights()
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise WeightsError(f"{folder / LORA}: diffusers cannot load it: {_first_line(error)}") from error
    pipe.unet.eval().requires_grad_(False)


def _adapted(network: nn.Module) -> set[str]:
    """The tensors of `network` as it was without adapters, to which some adapter adds."""
    layers = (name for name, module in network.named_modules() if isinstance(module, BaseTunerLayer))
    return {f"{name}.weight" for name in layers}


def apply_recipe(pipe: Any, recipe: Recipe) -> None:
    """Give `pipe` the recipe's scheduler, and refuse a recipe that its networks were not trained for.

    Raises:
        WeightsError: naming the field of the recipe that does not fit.
    """
    embedded = pipe.unet.config.time_cond_proj_dim is not None
    if embedded != (recipe.guidance == "embedded"):
        takes = "takes" if embedded else "has no input for"
        raise WeightsError(f"guidance {recipe.guidance!r} does not fit: the UNet {takes} an embedded guidance scale")
    pipe.scheduler = make_scheduler(pipe.scheduler.config, recipe)


def make_scheduler(config: Mapping[str, Any], recipe: Recipe) -> Any:
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
        scheduler.set_timesteps(recipe.allowed_steps[0])
    except (ValueError, TypeError, NotImplementedError, ImportError) as error:
        raise WeightsError(f"scheduler_config does not fit {recipe.scheduler}: {_first_line(error)}") from error
    _check_schedule(scheduler, recipe)
    return scheduler


def _scheduler_class(name: str) -> Any:
    found = getattr(diffusers, name, None)
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
