"""All methods, a line each. Nothing is imported until a method is asked for."""

from __future__ import annotations

from methods.names import NameTable

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
    },
    "fewstep.methods",
)
