"""DMD2: few-step students whose distribution is matched to the teacher's, with a score network of their own samples.

Yin et al., "Improved Distribution Matching Distillation for Fast Image Synthesis", arXiv 2405.14867.
"""

from __future__ import annotations

from methods.interface import MethodInfo, Recipe
from methods.sampling import PipelineMethod


class DMD2(PipelineMethod):
    """Consistency sampling: each step predicts x0 and goes back to the next timestep under fresh noise.

    The grid of diffusers' `LCMScheduler` has every timestep here, so that 4 steps visit 999, 749, 499, 249, as the
    released checkpoint of four steps does. That of one step was conditioned at 399, as a noise-predicting SDXL has no
    sensible x0 at 999; a teacher of zero terminal SNR has, and ours starts there.
    """

    info = MethodInfo(
        name="dmd2",
        title="DMD2",
        paper="Improved Distribution Matching Distillation for Fast Image Synthesis",
        arxiv="2405.14867",
        licence="non-commercial (released weights)",
        steps=(4, 1),
        checkpoint_per_step_count=True,
    )
    default_recipe = Recipe(
        scheduler="LCMScheduler",
        scheduler_config={"original_inference_steps": 1000, "clip_sample": False},
        guidance="none",
        allowed_steps=(1, 4),
    )
