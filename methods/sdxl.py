"""The baselines: an undistilled SDXL under classifier-free guidance, with five samplers.

Podell et al., "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis", arXiv 2307.01952.
The noise schedule, prediction type and timestep spacing stay the checkpoint's own.
"""

from __future__ import annotations

from dataclasses import replace

from methods.interface import MethodInfo, Recipe
from methods.sampling import FixedScheduler, PipelineMethod

_LICENCE = "CreativeML Open RAIL++-M (released weights)"


class SDXL(PipelineMethod):
    """SDXL as its checkpoint wants it: Euler steps unless `recipe.json` says otherwise."""

    info = MethodInfo(
        name="sdxl",
        title="SDXL",
        paper="SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis",
        arxiv="2307.01952",
        licence=_LICENCE,
        steps=(25, 50),
    )
    default_recipe = Recipe(scheduler="EulerDiscreteScheduler", guidance="classifier-free", guidance_scale=5.0)


class SDXLEuler(SDXL):
    """Euler steps along the probability flow."""

    info = replace(
        SDXL.info,
        name="sdxl-euler",
        title="SDXL, Euler",
        paper="Elucidating the Design Space of Diffusion-Based Generative Models",
        arxiv="2206.00364",
    )
    fixed_scheduler = FixedScheduler("EulerDiscreteScheduler", {})


class SDXLDDIM(SDXL):
    """Deterministic DDIM; its last step returns x0, unclipped, as latents have no fixed range."""

    info = replace(
        SDXL.info,
        name="sdxl-ddim",
        title="SDXL, DDIM",
        paper="Denoising Diffusion Implicit Models",
        arxiv="2010.02502",
    )
    fixed_scheduler = FixedScheduler("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": True})


class SDXLDPM(SDXL):
    """DPM-Solver, second order, multistep. Its last step ends at the smallest noise level of the schedule, not at zero.

    The singlestep solver of the paper cannot start from zero terminal SNR.
    """

    info = replace(
        SDXL.info,
        name="sdxl-dpm",
        title="SDXL, DPM-Solver",
        paper="DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in Around 10 Steps",
        arxiv="2206.00927",
    )
    fixed_scheduler = FixedScheduler(
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver", "solver_order": 2, "final_sigmas_type": "sigma_min"},
    )


class SDXLDPMpp(SDXL):
    """DPM-Solver++, second order, multistep."""

    info = replace(
        SDXL.info,
        name="sdxl-dpmpp",
        title="SDXL, DPM-Solver++",
        paper="DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models",
        arxiv="2211.01095",
    )
    fixed_scheduler = FixedScheduler(
        "DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"}
    )


class SDXLUniPC(SDXL):
    """UniPC, second order, with its corrector."""

    info = replace(
        SDXL.info,
        name="sdxl-unipc",
        title="SDXL, UniPC",
        paper="UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models",
        arxiv="2302.04867",
    )
    fixed_scheduler = FixedScheduler(
        "UniPCMultistepScheduler", {"solver_order": 2, "solver_type": "bh2", "final_sigmas_type": "zero"}
    )
