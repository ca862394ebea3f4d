"""METRICS and SUITES: one line each. A name, where it lives, and what it is; importing this imports none of them."""

from __future__ import annotations

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
    },
    group="fewstep.metrics",
)

SUITES = NameTable(
    "suite",
    {"shapes": ("bench.suites.shapes.suite:ShapesSuite", "captioned shapes, embedded: nothing to download")},
    group="fewstep.suites",
)

SUITE_INFOS = NameTable(
    "suite",
    {"shapes": ("bench.suites.shapes.info:INFO", "what a plan needs to know about the shapes suite, without torch")},
    group="fewstep.suite_infos",
)
"""Optional shortcut: where a suite's `SuiteInfo` lies in a module that imports no torch."""


def suite_info(name: str) -> SuiteInfo:
    """The facts of suite `name`, without importing torch where the suite offers them so.

    Raises:
        UsageError: for an unknown name.
    """
    SUITES.entry(name)
    if name in SUITE_INFOS.names():
        return cast(SuiteInfo, SUITE_INFOS.load(name))
    return cast(SuiteInfo, SUITES.load(name).info)
