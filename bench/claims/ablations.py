"""Table 1 of the paper, panels (a) to (f), as one axis of ablations: what each row is here. Data, and no torch.

Sauer et al., "Adversarial Diffusion Distillation", arXiv 2311.17042, table 1.

A row names the paper's setting and how the suite's own ADD is changed for it. Rows that come out as the same training
are trained once. What stands in for what:

    paper                              here
    DINOv2 ViT-S, its default          the suite's own feature network, small
    DINOv1 ViT-S                       small, another objective (self-supervised)
    DINOv2 ViT-L                       the objective of the default, large
    CLIP ViT-L                         learned from captions, large
    SDXL, SD2.1                        the suite's teacher, a second teacher of under half its size
    COCO FID-5k, CLIP score            FD-shapes, CLIP-shapes: other features, other images

So no value of a row is comparable with the paper's; its change against the default of its panel is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Start = Literal["pretrained", "random"]

LARGE, SMALL = "teacher", "teacher-small"
"""Training stages of the two teachers."""

DEFAULT = "default"
"""What the run is called that changes nothing."""


@dataclass(frozen=True)
class Row:
    """One row of the table: its panel and setting as the paper has them, what it is called here, and what it changes.

    `recipe` overrides fields of the suite's `AddRecipe`; `student` and `teacher` are the stages whose sizes (and, where
    the student is pretrained, weights) are taken; `ours` says in words what stands in, where it is not the same.
    """

    panel: str
    setting: str
    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    start: Start = "pretrained"
    student: str = LARGE
    teacher: str = LARGE
    ours: str = ""


TITLES = {
    "a": "feature network of the discriminator",
    "b": "conditioning of the discriminator",
    "c": "the student's initialisation",
    "d": "loss terms",
    "e": "student / teacher",
    "f": "steps of the teacher",
}
"""Panel -> what it varies."""

PANELS = tuple(TITLES)

ROWS = (
    Row("a", "ViT-S DINOv1", "a-dino-small", {"features": "eye-dino"}, ours="small, self-supervised"),
    Row("a", "ViT-S DINOv2", "a-default", ours="small, the suite's own"),
    Row("a", "ViT-L DINOv2", "a-large", {"features": "eye-large"}, ours="large, the same objective"),
    Row("a", "ViT-L CLIP", "a-clip-large", {"features": "eye-clip-large"}, ours="large, from captions"),
    Row("b", "none", "b-none", {"condition_text": False, "condition_image": False}),
    Row("b", "text", "b-text", {"condition_text": True, "condition_image": False}),
    Row("b", "image", "b-image", {"condition_text": False, "condition_image": True}),
    Row("b", "text+image", "b-text-image", {"condition_text": True, "condition_image": True}),
    Row("c", "random", "c-random", start="random"),
    Row("c", "pretrained", "c-pretrained"),
    Row("d", "adv", "d-adv", {"distill_weight": 0.0}),
    Row("d", "distill", "d-distill", {"adversarial_weight": 0.0}),
    Row("d", "adv + lambda distill(exp)", "d-exponential", {"weighting": "exponential"}),
    Row("d", "adv + lambda distill(sds)", "d-sds", {"weighting": "sds"}),
    Row("d", "adv + lambda distill(nfsd)", "d-nfsd", {"weighting": "nfsd"}),
    Row("e", "SD2.1/SD2.1", "e-small-small", student=SMALL, teacher=SMALL, ours="small / small"),
    Row("e", "SD2.1/SDXL", "e-small-large", student=SMALL, teacher=LARGE, ours="small / large"),
    Row("e", "SDXL/SD2.1", "e-large-small", student=LARGE, teacher=SMALL, ours="large / small"),
    Row("e", "SDXL/SDXL", "e-large-large", ours="large / large, the suite's own"),
    Row("f", "1", "f-1", {"teacher_steps": 1}),
    Row("f", "2", "f-2", {"teacher_steps": 2}),
    Row("f", "4", "f-4", {"teacher_steps": 4}),
)

SEEDS = (0, 1, 2)
"""Of each distinct row."""

PROMPTS = 500
"""Of the test split, a record."""

METRICS = ("fd-shapes", "clip-shapes", "attributes", "preference")


def rows_of(panels: tuple[str, ...]) -> tuple[Row, ...]:
    """The rows of the panels named, in the order of the table; all of them where none is named."""
    return tuple(item for item in ROWS if not panels or item.panel in panels)
