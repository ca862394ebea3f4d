"""Traps of the libraries below: each is shown to be there, and that we do not step into it."""

from __future__ import annotations

import ast
import importlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.suites.shapes.generator.networks import make_vae
from methods.pipelines import load_pipeline

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def sources() -> list[Path]:
    return [path for package in ("bench", "methods") for path in (ROOT / package).rglob("*.py")]


def requirements() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return {canonicalize_name(found.name): found for found in map(Requirement, lines)}


def test_the_square_root_of_scipy_is_not_used() -> None:
    """SciPy 1.18 has no `disp`: clean-fid is held below it, and our own distance needs no such root."""
    for path in sources():
        names = {node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)}
        assert "sqrtm" not in names, path
    assert not requirements()["scipy"].specifier.contains("1.18.0")
    assert requirements()["scipy"].specifier.contains("1.17.1")


def test_wheels_that_do_not_import_are_not_needed() -> None:
    banned = {"image-reward", "hpsv2", "hpsv2x"}
    assert not banned & set(requirements())
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"ImageReward", "hpsv2", "hpsv2x"}, path


def test_no_image_gets_a_watermark(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a package for them is installed, a stock pipeline draws one into every image."""
    module: Any = importlib.import_module("diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl")
    monkeypatch.setattr(module, "is_invisible_watermark_available", lambda: True)
    monkeypatch.setattr(module, "StableDiffusionXLWatermarker", lambda: "drawn into every image", raising=False)
    assert StableDiffusionXLPipeline.from_pretrained(tiny_pipeline).watermark == "drawn into every image"
    assert load_pipeline(tiny_pipeline, device=CPU, dtype=torch.float32).watermark is None


def test_latents_of_eight_channels_have_no_mean(tiny_pipeline: Path) -> None:
    """The stock pipeline takes a mean of latents to have four numbers; ours has eight channels and a factor alone."""
    vae = make_vae()
    assert vae.config.latent_channels == 8
    assert vae.config.latents_mean is None
    pipe = load_pipeline(tiny_pipeline, device=CPU, dtype=torch.float32)
    arguments: dict[str, Any] = {"num_inference_steps": 1, "guidance_scale": 1.0, "output_type": "pt"}
    assert pipe("a red circle", **arguments).images.shape[1] == 3
    pipe.vae.register_to_config(latents_mean=[0.0] * 8, latents_std=[1.0] * 8)
    with pytest.raises(RuntimeError, match="invalid for input of size 8"):
        pipe("a red circle", **arguments)
