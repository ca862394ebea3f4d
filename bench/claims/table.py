"""The claims of the paper that the embedded suite can be asked. Data, and no torch.

Sauer et al., "Adversarial Diffusion Distillation", arXiv 2311.17042. Bounds are ours: the paper states no margins.
"""

from __future__ import annotations

from bench.claims.claim import Claim, Comparison, Side, ablation

ABLATE, BAKEOFF = "python -m bench ablate", "python -m bench bakeoff"

COLLAPSE = 2.0
"""Times the distance of the default from which a row is called collapsed; the paper's two rows are at 14 and 15."""

ENOUGH = 1.1
"""Times the distance with more steps of the teacher up to which one step counts as enough; the paper's is at 1.01."""

RIVALS = ("lcm", "lcm-lora", "pd", "instaflow", "ufogen", "gan")
"""The other methods of the paper that make an image in one step."""

PROMPTS_OF_DIVERSITY, IMAGES_OF_DIVERSITY = 250, 4

_ADD, _ADD_4, _TEACHER = Side("add", 1), Side("add", 4), Side("sdxl-euler", 25)
_DEFAULT = ablation("default")


def _collapses(row: str) -> tuple[Comparison, ...]:
    return (
        Comparison("fd-shapes", ablation(row), _DEFAULT, "above", COLLAPSE, "ratio"),
        Comparison("clip-shapes", ablation(row), _DEFAULT, "below"),
    )


CLAIMS = (
    Claim(
        "one-step",
        "ADD at 1 step beats every other method of the paper at 1 step",
        "Table 2, section 4.2",
        "FD-shapes lower and preference over the teacher higher, against each of them",
        tuple(
            comparison
            for rival in RIVALS
            for comparison in (
                Comparison("fd-shapes", _ADD, Side(rival, 1), "below"),
                Comparison("preference", _ADD, Side(rival, 1), "above"),
            )
        ),
        BAKEOFF,
    ),
    Claim(
        "four-steps",
        "ADD at 4 steps is preferred to the teacher at 25",
        "Figure 6, with the teacher at 50",
        "preferred to the teacher's image of the same prompt and noise in more than half of the prompts",
        (Comparison("preference", _ADD_4, None, "above", 50.0),),
        BAKEOFF,
    ),
    Claim(
        "lcm",
        "ADD at 1 step beats LCM at 4 on preference",
        "Figure 5",
        "preference over the teacher higher",
        (Comparison("preference", _ADD, Side("lcm", 4), "above"),),
        BAKEOFF,
    ),
    Claim(
        "random",
        "random initialisation collapses",
        "Table 1 (c)",
        f"FD-shapes above {COLLAPSE:g} times that of the pretrained student, CLIP-shapes lower",
        _collapses("c-random"),
        ABLATE,
    ),
    Claim(
        "distill-alone",
        "the distillation loss alone collapses",
        "Table 1 (d)",
        f"FD-shapes above {COLLAPSE:g} times that of both losses, CLIP-shapes lower",
        _collapses("d-distill"),
        ABLATE,
    ),
    Claim(
        "distill-helps",
        "adding the distillation loss to the adversarial loss raises the CLIP score",
        "Table 1 (d)",
        "CLIP-shapes higher",
        (Comparison("clip-shapes", ablation("d-exponential"), ablation("d-adv"), "above"),),
        ABLATE,
    ),
    Claim(
        "conditioning",
        "conditioning the discriminator on text and image beats none",
        "Table 1 (b)",
        "FD-shapes lower and CLIP-shapes higher",
        (
            Comparison("fd-shapes", ablation("b-text-image"), ablation("b-none"), "below"),
            Comparison("clip-shapes", ablation("b-text-image"), ablation("b-none"), "above"),
        ),
        ABLATE,
    ),
    Claim(
        "teacher-steps",
        "a single teacher step is enough",
        "Table 1 (f)",
        f"FD-shapes below {ENOUGH:g} times that of two and of four steps",
        tuple(
            Comparison("fd-shapes", ablation("f-1"), ablation(row), "below", ENOUGH, "ratio") for row in ("f-2", "f-4")
        ),
        ABLATE,
    ),
    Claim(
        "diversity",
        "ADD loses diversity within a prompt, against its teacher",
        "said in the text, without a table",
        "the distance between images of one prompt smaller than the teacher's",
        (Comparison("diversity", _ADD, _TEACHER, "below", images_per_prompt=IMAGES_OF_DIVERSITY),),
        BAKEOFF,
    ),
)
