"""The timesteps that each model card prescribes, number by number, and the same of diffusers' own schedulers."""

from __future__ import annotations

import math

import diffusers
import pytest

from methods.checkpoints.families import FAMILIES
from methods.checkpoints.spacing import expected_timesteps, same_timesteps
from methods.checkpoints.table import Checkpoint, find
from methods.pipelines import make_scheduler, timestep_arguments
from tests.released.layouts import FLOW_SCHEDULER, SANA_SCHEDULER, SCHNELL_SCHEDULER, SD15_SCHEDULER, SDXL_SCHEDULER
from tests.released.rows import RUNNING, name_of

TRAILING = {
    1: (999,),
    2: (999, 499),
    4: (999, 749, 499, 249),
    8: (999, 874, 749, 624, 499, 374, 249, 124),
}
CONSISTENCY = {
    1: (999,),
    2: (999, 499),
    4: (999, 759, 499, 259),
    8: (999, 879, 759, 639, 499, 379, 259, 139),
}
"""Every 50 // n-th of the 50 timesteps 999, 979, ..., 19."""

CARDS: list[tuple[str, str, int, tuple[float, ...]]] = [
    *[("add", family, n, TRAILING[n]) for family in ("sdxl", "sd21") for n in (1, 2, 4)],
    *[("add-demo", family, n, (999, 899, 799, 699)[:n]) for family in ("sdxl", "sd21") for n in (1, 2, 3, 4)],
    *[("lightning", "sdxl", n, TRAILING[n]) for n in (1, 2, 4, 8)],
    *[("lightning-lora", "sdxl", n, TRAILING[n]) for n in (2, 4, 8)],
    *[("lcm", family, n, CONSISTENCY[n]) for family in ("sdxl", "sd15") for n in (1, 2, 4, 8)],
    *[("lcm-lora", family, n, CONSISTENCY[n]) for family in ("sdxl", "sd15") for n in (2, 4, 8)],
    *[("tcd", family, n, CONSISTENCY[n]) for family in ("sdxl", "sd15", "sd21") for n in (4, 8)],
    *[("pcm", family, n, TRAILING[n]) for family in ("sdxl", "sd15") for n in (2, 4, 8)],
    *[("hyper-sd", family, n, TRAILING[n]) for family in ("sdxl", "sd15") for n in (2, 4, 8)],
    ("hyper-sd", "sdxl", 1, (800,)),
    ("hyper-sd", "sd15", 1, (999,)),
    *[("hyper-sd-unified", "sdxl", n, CONSISTENCY[n]) for n in (1, 2, 4, 8)],
    ("dmd2", "sdxl", 4, (999, 749, 499, 249)),
    ("dmd2", "sdxl", 1, (399,)),
    ("dmd2-lora", "sdxl", 4, (999, 749, 499, 249)),
    ("instaflow", "sd15", 1, (1000,)),
    ("perflow", "sdxl", 4, (1000, 750, 500, 250)),
    ("perflow", "sdxl", 6, (1000, 875, 750, 625, 500, 250)),
    ("perflow", "sd15", 8, (1000, 875, 750, 625, 500, 375, 250, 125)),
    ("flux-schnell", "flux", 4, (1000, 750, 500, 250)),
    ("flux-schnell", "flux", 1, (1000,)),
    ("sana-sprint", "sana", 2, (1.57080, 1.3)),
    ("sana-sprint", "sana", 1, (1.57080,)),
    ("sana-sprint", "sana", 4, (1.57080, 1.1781, 0.7854, 0.3927)),
]


@pytest.mark.parametrize(("method", "family", "steps", "timesteps"), CARDS)
def test_what_the_cards_prescribe(method: str, family: str, steps: int, timesteps: tuple[float, ...]) -> None:
    row = find(method, family, steps)
    expected = expected_timesteps(row.recipe, steps, down_to_zero=FAMILIES[family].gives_sigmas)
    assert expected == pytest.approx(timesteps, rel=1e-9)


def test_sd35_turbo_is_the_reference_codes_shift() -> None:
    """SD 3's own inference code: even from sigma 1 down to the shifted lowest of 1,000, then shifted by 3."""

    def shifted(sigma: float) -> float:
        return 3.0 * sigma / (1 + 2.0 * sigma)

    low = shifted(0.001)
    expected = [1000 * shifted(1 - i * (1 - low) / 3) for i in range(4)]
    assert expected_timesteps(find("ladd", "sd35", 4).recipe, 4) == pytest.approx(expected)
    assert expected[:2] == pytest.approx([1000.0, 857.7], abs=0.1)


CONFIGS = {
    "sdxl": SDXL_SCHEDULER, "sd15": SD15_SCHEDULER, "sd21": SD15_SCHEDULER, "sd35": FLOW_SCHEDULER,
    "flux": SCHNELL_SCHEDULER, "sana": SANA_SCHEDULER,
}  # fmt: skip


@pytest.mark.parametrize("row", RUNNING, ids=name_of)
def test_diffusers_schedulers_agree_at_every_allowed_count(row: Checkpoint) -> None:
    family = FAMILIES[row.family]
    scheduler = make_scheduler(CONFIGS[row.family], row.recipe, family)
    fewest, most = row.recipe.allowed_steps
    for steps in range(fewest, min(most, 16) + 1):
        expected = expected_timesteps(row.recipe, steps, down_to_zero=family.gives_sigmas)
        if expected is None:
            continue
        scheduler.set_timesteps(**timestep_arguments(row.recipe, steps, family))
        found = tuple(float(t) for t in scheduler.timesteps)
        found = found[:-1] if row.recipe.scheduler == "SCMScheduler" else found
        assert same_timesteps(expected, found), (steps, expected, found)


def test_timesteps_that_differ_are_told_apart() -> None:
    assert same_timesteps((999.0, 499.0), (999.0, 499.001))
    assert not same_timesteps((999.0, 499.0), (999.0, 500.0))
    assert not same_timesteps((999.0,), (999.0, 499.0))
    leading = diffusers.EulerDiscreteScheduler.from_config(SDXL_SCHEDULER)
    leading.set_timesteps(4)
    assert leading.timesteps.tolist() == [751.0, 501.0, 251.0, 1.0]
    assert not same_timesteps(TRAILING[4], tuple(leading.timesteps.tolist()))
    assert math.isclose(1.57080, math.pi / 2, abs_tol=1e-5)
