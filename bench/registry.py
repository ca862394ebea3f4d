"""METRICS and SUITES: one line each. A name, where it lives, and what it is; importing this imports none of them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from bench.suites.info import SuiteInfo
from methods.names import NameTable

METRICS = NameTable(
    "metric",
    {
        "fd-shapes": (
            "bench.metrics.frechet:FrechetShapes",
            "Frechet distance to the reference images, features of the shapes recogniser; lower is better",
        ),
        "kid-shapes": (
            "bench.metrics.kernel:KernelShapes",
            "kernel distance (unbiased MMD) on the same features; lower is better",
        ),
        "clip-shapes": (
            "bench.metrics.clip:ClipShapes",
            "cosine between image and caption under the shapes CLIP, times 100; higher is better",
        ),
        "attributes": (
            "bench.metrics.attributes:Attributes",
            "share of images that show every object and attribute the caption names; higher is better",
        ),
        "preference": (
            "bench.metrics.preference:Preference",
            "share of prompts whose image is preferred to the teacher's; higher is better",
        ),
        "fid": ("bench.metrics.pretrained:Fid", "FID by clean-fid's resize and Inception; needs weights"),
        "fid-tensorflow": (
            "bench.metrics.pretrained:FidTensorflow",
            "the same with TensorFlow's resize; needs weights",
        ),
        "fid-torch-fidelity": (
            "bench.metrics.pretrained:FidTorchFidelity",
            "FID by the network that torch-fidelity and torchmetrics use; needs weights",
        ),
        "kid": ("bench.metrics.pretrained:Kid", "KID by clean-fid's resize and Inception; needs weights"),
        "fd-dinov2": ("bench.metrics.pretrained:FdDinov2", "Frechet distance of DINOv2 features; needs weights"),
        "cmmd": ("bench.metrics.kernel_clip:Cmmd", "kernel distance of CLIP embeddings (CMMD); needs weights"),
        "precision": (
            "bench.metrics.overlapping:Precision",
            "share of images near real ones, features of the suite's recogniser or DINOv2; higher is better",
        ),
        "recall": (
            "bench.metrics.overlapping:Recall",
            "share of real images near generated ones; higher is better",
        ),
        "density": (
            "bench.metrics.overlapping:Density",
            "how many real images an image is near to, over k; higher is better",
        ),
        "coverage": (
            "bench.metrics.overlapping:Coverage",
            "share of real images with a generated one near; higher is better",
        ),
        "inception-score": (
            "bench.metrics.inception:InceptionScore",
            "Inception score by torch-fidelity's network, no reference; needs weights",
        ),
        "clip-score": ("bench.metrics.alignment:ClipScore", "CLIP score, OpenCLIP ViT-g-14; needs weights"),
        "pickscore": ("bench.metrics.alignment:PickScore", "PickScore v1, image and prompt; needs weights"),
        "hpsv2": ("bench.metrics.alignment:HpsV21", "HPS v2.1, image and prompt; needs weights"),
        "image-reward": ("bench.metrics.rewards:ImageReward", "ImageReward v1.0, image and prompt; needs weights"),
        "aesthetic": ("bench.metrics.rewards:Aesthetic", "LAION's aesthetic score, image alone; needs weights"),
        "diversity": (
            "bench.metrics.diversity:FeatureDiversity",
            "distance of the images of a prompt; needs --images-per-prompt",
        ),
        "lpips": (
            "bench.metrics.diversity:LpipsDiversity",
            "LPIPS between the images of a prompt; needs weights and --images-per-prompt",
        ),
    },
    group="fewstep.metrics",
)

SUITES = NameTable(
    "suite",
    {
        "shapes": ("bench.suites.shapes.suite:ShapesSuite", "captioned shapes, embedded: nothing to download"),
        "coco2017-5k": (
            "bench.suites.coco.suite:CocoSuite",
            "COCO 2017 validation, 5,000 images and a caption of each; --coco FOLDER",
        ),
        "parti": ("bench.suites.prompts.suite:PartiSuite", "PartiPrompts, 1,632 prompts; --parti FILE"),
        "prompts": ("bench.suites.prompts.suite:PromptsSuite", "a list of your own; --prompts FILE"),
    },
    group="fewstep.suites",
)

SUITE_INFOS = NameTable(
    "suite",
    {
        "shapes": ("bench.suites.shapes.info:INFO", "what a plan needs to know about the shapes suite, without torch"),
        "coco2017-5k": ("bench.suites.coco.info:coco_info", "the same of a COCO folder"),
        "parti": ("bench.suites.prompts.info:parti_info", "the same of a PartiPrompts file"),
        "prompts": ("bench.suites.prompts.info:prompts_info", "the same of a file of prompts"),
    },
    group="fewstep.suite_infos",
)
"""Optional shortcut: where a suite's `SuiteInfo` lies in a module that imports no torch."""


SUITE_DATA = {"coco2017-5k": "--coco", "parti": "--parti", "prompts": "--prompts"}
"""The suites made of a user's files, and the option that names them."""


def suite_info(name: str, data: Path | None = None) -> SuiteInfo:
    """The facts of suite `name`, made of `data` where it takes any, without importing torch where it offers them so.

    Raises:
        UsageError: for an unknown name, or data that cannot be used.
    """
    SUITES.entry(name)
    if data is not None:
        return cast(SuiteInfo, SUITE_INFOS.load(name)(data))
    if name in SUITE_INFOS.names():
        return cast(SuiteInfo, SUITE_INFOS.load(name))
    return cast(SuiteInfo, SUITES.load(name).info)


def make_suite(name: str, data: Path | None = None) -> object:
    """Suite `name`, made of `data` where it takes any."""
    return SUITES.load(name)() if data is None else SUITES.load(name)(data)
