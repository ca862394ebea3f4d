"""All methods, a line each. Nothing is imported until a method is asked for."""

from __future__ import annotations

from typing import Literal

from methods.names import NameTable

RELEASED = "methods.released:Released"

METHODS = NameTable(
    "method",
    {
        "sdxl": ("methods.sdxl:SDXL", "the undistilled baseline with its checkpoint's own sampler"),
        "sdxl-euler": ("methods.sdxl:SDXLEuler", "the undistilled baseline, Euler"),
        "sdxl-ddim": ("methods.sdxl:SDXLDDIM", "the undistilled baseline, DDIM"),
        "sdxl-dpm": ("methods.sdxl:SDXLDPM", "the undistilled baseline, DPM-Solver (2M)"),
        "sdxl-dpmpp": ("methods.sdxl:SDXLDPMpp", "the undistilled baseline, DPM-Solver++ (2M)"),
        "sdxl-unipc": ("methods.sdxl:SDXLUniPC", "the undistilled baseline, UniPC (2M)"),
        "lcm": ("methods.lcm:LCM", "latent consistency distillation, 1 to 8 steps"),
        "lcm-lora": ("methods.lcm:LCMLoRA", "latent consistency distillation into a LoRA on the base, 1 to 8 steps"),
        "pd": (
            "methods.progressive:ProgressiveDistillation",
            "progressive distillation, a checkpoint each for 4, 2, 1",
        ),
        "gd": (
            "methods.guidance_distillation:GuidanceDistillation",
            "guidance distillation, one evaluation a step at every guidance scale, 25 to 4 steps",
        ),
        "dmd2": ("methods.dmd2:DMD2", "distribution matching distillation, a checkpoint each for 4 and 1"),
        "instaflow": ("methods.instaflow:InstaFlow", "rectified flow along the teacher's own pairs, 1 step"),
        "cfg-aware": ("methods.cfg_aware:CFGAware", "guided steps distilled two into one, 8 steps"),
        "ufogen": ("methods.ufogen:UFOGen", "diffusion GAN on the pretrained network, 1 to 4 steps"),
        "gan": ("methods.gan:StyleGAN", "a GAN from random weights after StyleGAN-T, 1 step, with truncation"),
        "add": ("methods.add:ADD", "adversarial diffusion distillation, 1 to 4 steps"),
        "add-demo": (RELEASED, "released ADD with the sampler of its authors' demo"),
        "lightning": (RELEASED, "SDXL-Lightning, a network each for 1, 2, 4, 8 steps"),
        "lightning-lora": (RELEASED, "SDXL-Lightning as a LoRA each for 2, 4, 8 steps"),
        "hyper-sd": (RELEASED, "Hyper-SD, weights each for 1, 2, 4, 8 steps"),
        "hyper-sd-unified": (RELEASED, "Hyper-SD, one LoRA for 1 to 8 steps"),
        "dmd2-lora": (RELEASED, "distribution matching as a LoRA, 4 steps"),
        "tcd": (RELEASED, "trajectory consistency distillation, a LoRA"),
        "pcm": (RELEASED, "phased consistency, a LoRA each for 2, 4, 8, 16 steps"),
        "perflow": (RELEASED, "piecewise rectified flow, 4 steps and more"),
        "ladd": (RELEASED, "SD 3.5 Large Turbo, 4 steps"),
        "flux-schnell": (RELEASED, "FLUX.1 [schnell], 1 to 4 steps"),
        "sana-sprint": (RELEASED, "SANA-Sprint 1.6B, 1 to 4 steps"),
        "sana-sprint-0.6b": (RELEASED, "SANA-Sprint 0.6B, 1 to 4 steps"),
        "sd15": (RELEASED, "undistilled SD 1.5 with its own sampler"),
        "sd15-euler": (RELEASED, "undistilled SD 1.5, Euler"),
        "sd15-ddim": (RELEASED, "undistilled SD 1.5, DDIM"),
        "sd15-dpm": (RELEASED, "undistilled SD 1.5, DPM-Solver (2M)"),
        "sd15-dpmpp": (RELEASED, "undistilled SD 1.5, DPM-Solver++ (2M)"),
        "sd15-unipc": (RELEASED, "undistilled SD 1.5, UniPC (2M)"),
        "sd21": (RELEASED, "undistilled SD 2.1 with its own sampler"),
        "sd21-euler": (RELEASED, "undistilled SD 2.1, Euler"),
        "sd21-ddim": (RELEASED, "undistilled SD 2.1, DDIM"),
        "sd21-dpm": (RELEASED, "undistilled SD 2.1, DPM-Solver (2M)"),
        "sd21-dpmpp": (RELEASED, "undistilled SD 2.1, DPM-Solver++ (2M)"),
        "sd21-unipc": (RELEASED, "undistilled SD 2.1, UniPC (2M)"),
        "flux2-klein": (RELEASED, "FLUX.2 [klein], recipe only: not run"),
        "z-image-turbo": (RELEASED, "Z-Image-Turbo, recipe only: not run"),
        "qwen-lightning": (RELEASED, "Qwen-Image-Lightning, recipe only: not run"),
    },
    "fewstep.methods",
)


def is_released(name: str) -> bool:
    """Whether a method has released weights alone, which belong to a family; nothing is trained here for it."""
    return name in METHODS.names() and METHODS.entry(name).target == RELEASED


Role = Literal["baseline", "paper", "successor", "released", "other"]

BASELINES = ("sdxl", "sdxl-euler", "sdxl-ddim", "sdxl-dpm", "sdxl-dpmpp", "sdxl-unipc")
"""The teacher itself, by several samplers: it is trained once, whatever is compared with it."""

PAPER = ("add", "lcm", "lcm-lora", "pd", "gd", "instaflow", "cfg-aware", "ufogen", "gan")
"""The methods that the paper of this benchmark compares, ADD first."""

SUCCESSORS = ("dmd2",)
"""Later than that paper and no part of its comparison: shown apart, as rivals."""


def role(name: str) -> Role:
    """Where a method stands in the comparison of the paper; "other" for what is registered from outside."""
    roles: dict[Role, tuple[str, ...]] = {"baseline": BASELINES, "paper": PAPER, "successor": SUCCESSORS}
    for kind, names in roles.items():
        if name in names:
            return kind
    return "released" if is_released(name) else "other"
