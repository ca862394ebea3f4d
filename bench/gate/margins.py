"""What a change may cost before it is called one: data, each with its reason.

A margin is the larger of `absolute`, in the stored unit of the quantity, and `share` of the base's value. The band is
`BAND` margins: with the same weights, recipe, prompts and seeds, nothing gets better by that much, so something else
has changed. (MLPerf checks FID and CLIP score of its text-to-image task against both ends of a range, too.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BAND = 3.0
"""Margins by which something may be better before it counts as another protocol."""

LATENCY_MARGIN = 0.03
"""Share of the base's latency. 5 % has to be caught, and processes of the same code differ by up to about 1 %."""

SPREAD_SHARE = 0.1
"""For a score that is not listed: tenths of a standard deviation between images, half of what is called a small effect
(Cohen 1988)."""


@dataclass(frozen=True)
class Margin:
    """How much worse is tolerated, and why. `root` says that the test is made on the square root's scale."""

    absolute: float
    share: float
    reason: str
    root: bool = False

    def of(self, base: float) -> float:
        """In the unit of `base`."""
        return max(self.absolute, self.share * abs(base))


_DISTANCE = "a tenth of the distance, far below what 5 % of broken images cause (the self-test says how much)"
_POINTS = "three of a hundred images; the 95 % interval of 1,000 images is as wide as that"

MARGINS: Mapping[str, Margin] = {
    "fd-shapes": Margin(0.3, 0.1, _DISTANCE, root=True),
    "fid": Margin(0.3, 0.1, _DISTANCE, root=True),
    "fid-tensorflow": Margin(0.3, 0.1, _DISTANCE, root=True),
    "fid-torch-fidelity": Margin(0.3, 0.1, _DISTANCE, root=True),
    "fd-dinov2": Margin(3.0, 0.1, _DISTANCE, root=True),
    "kid": Margin(0.1, 0.1, _DISTANCE),
    "kid-shapes": Margin(30.0, 0.1, _DISTANCE),
    "clip-shapes": Margin(1.0, 0.0, "one of a hundred; the 95 % interval of 1,000 images is as wide as that"),
    "attributes": Margin(3.0, 0.0, _POINTS),
    "preference": Margin(3.0, 0.0, _POINTS),
}


def margin_of(quantity: str, spread: float) -> Margin:
    """The margin of a quantity; `spread` is the standard deviation of the base's values between images."""
    known = MARGINS.get(quantity)
    return known or Margin(SPREAD_SHARE * spread, 0.0, "a tenth of the standard deviation between images")
