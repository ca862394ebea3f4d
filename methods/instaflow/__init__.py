"""InstaFlow: a rectified flow along the teacher's own pairs of noise and image, distilled into one step.

Liu et al., "InstaFlow: One Step is Enough for High-Quality Diffusion-Based Text-to-Image Generation", arXiv 2309.06380.
"""

from __future__ import annotations

from methods.interface import MethodInfo, Recipe
from methods.sampling import PipelineMethod


class InstaFlow(PipelineMethod):
    """One Euler step of the flow, which is what a multistep solver of first order does on flow sigmas."""

    info = MethodInfo(
        name="instaflow",
        title="InstaFlow",
        paper="InstaFlow: One Step is Enough for High-Quality Diffusion-Based Text-to-Image Generation",
        arxiv="2309.06380",
        licence="CC BY-NC 4.0 (released weights)",
        steps=(1,),
    )
    default_recipe = Recipe(
        scheduler="DPMSolverMultistepScheduler",
        scheduler_config={"prediction_type": "flow_prediction", "use_flow_sigmas": True, "solver_order": 1},
        guidance="none",
        allowed_steps=(1, 1),
    )
