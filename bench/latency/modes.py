"""How the networks are run, as data: a mode is a name, or several joined by "+". No torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from bench.errors import UsageError

EAGER = "eager"
SWITCHES = {
    "channels-last": "weights and activations of convolutions laid out channels last",
    "compile": "torch.compile, static shapes",
    "graphs": "CUDA graphs: work on the device is captured once and replayed",
}


@dataclass(frozen=True)
class Mode:
    """Which switches are on. They apply to the denoiser and the decoder; text encoders stay eager."""

    channels_last: bool = False
    compile: bool = False
    graphs: bool = False

    @property
    def name(self) -> str:
        """`eager`, or the switches in one fixed order, joined by "+"."""
        states = zip(SWITCHES, (self.channels_last, self.compile, self.graphs), strict=True)
        return "+".join(name for name, on in states if on) or EAGER


def parse_mode(text: str) -> Mode:
    """The mode that `text` names.

    Raises:
        UsageError: for an unknown switch, or one that is named twice.
    """
    switches = text.split("+")
    for switch in switches:
        if switch not in SWITCHES and text != EAGER:
            near = difflib.get_close_matches(switch, [EAGER, *SWITCHES], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = f"{EAGER}, or {', '.join(SWITCHES)} alone or joined by +"
            raise UsageError(f"--mode {text!r} is not possible; use {known}{hint}")
    if len(set(switches)) < len(switches):
        raise UsageError(f"--mode {text!r} names a switch twice; name it once")
    return Mode("channels-last" in switches, "compile" in switches, "graphs" in switches)
