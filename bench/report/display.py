"""How quantities look: titles, units, order, digits. A quantity that is not named here is shown under its own name."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.record import Quantity, Record

Kind = Literal["quality", "cost"]


@dataclass(frozen=True)
class Display:
    """One column. A stored value times `factor` is shown, in `unit`; of `ranked` columns the best is marked."""

    name: str
    title: str
    unit: str
    factor: float
    kind: Kind
    higher_is_better: bool
    ranked: bool = True

    @property
    def arrow(self) -> str:
        """Which way is better; empty where the quantity is not ranked."""
        if not self.ranked:
            return ""
        return "↑" if self.higher_is_better else "↓"

    @property
    def header(self) -> str:
        """Title, unit and arrow: `Latency (ms) ↓`."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.title}{unit} {self.arrow}".rstrip()


@dataclass(frozen=True)
class _Known:
    title: str
    kind: Kind
    unit: str | None = None
    factor: float = 1.0
    ranked: bool = True


_KNOWN: dict[str, _Known] = {
    "fd-shapes": _Known("FD-shapes", "quality"),
    "kid-shapes": _Known("KID-shapes", "quality"),
    "clip-shapes": _Known("CLIP-shapes", "quality"),
    "preference": _Known("Preference-shapes", "quality"),
    "attributes": _Known("Attributes", "quality"),
    "fid": _Known("FID", "quality"),
    "fid-tensorflow": _Known("FID (TensorFlow resize)", "quality"),
    "fid-torch-fidelity": _Known("FID (torch-fidelity)", "quality"),
    "fd-dinov2": _Known("FD-DINOv2", "quality"),
    "kid": _Known("KID", "quality"),
    "cmmd": _Known("CMMD", "quality"),
    "precision": _Known("Precision", "quality"),
    "recall": _Known("Recall", "quality"),
    "density": _Known("Density", "quality"),
    "coverage": _Known("Coverage", "quality"),
    "inception-score": _Known("Inception score", "quality"),
    "clip-score": _Known("CLIP score", "quality"),
    "pickscore": _Known("PickScore", "quality"),
    "hpsv2": _Known("HPS v2.1", "quality"),
    "image-reward": _Known("ImageReward", "quality"),
    "aesthetic": _Known("Aesthetic score", "quality"),
    "diversity": _Known("Diversity", "quality"),
    "lpips": _Known("LPIPS diversity", "quality"),
    "latency_s": _Known("Latency", "cost", "ms", 1e3),
    "images_per_s": _Known("Throughput", "cost", "images/s"),
    "peak_memory_bytes": _Known("Peak memory", "cost", "MiB", 2.0**-20),
    "nfe": _Known("Evaluations", "cost", "", ranked=False),
    "latency_p10_s": _Known("Latency p10", "cost", "ms", 1e3),
    "latency_p90_s": _Known("Latency p90", "cost", "ms", 1e3),
    "latency_p99_s": _Known("Latency p99", "cost", "ms", 1e3),
    "latency_denoiser_call_s": _Known("Denoiser, a call", "cost", "ms", 1e3),
    "peak_process_bytes": _Known("Peak of the process", "cost", "MiB", 2.0**-20),
    "energy_j": _Known("Energy", "cost", "J"),
    "parameters": _Known("Parameters", "cost", "M", 1e-6, ranked=False),
    "flops": _Known("Work", "cost", "GFLOP", 1e-9, ranked=False),
    "matrix_fraction": _Known("Of the matrix rate", "cost", "%", 1e2, ranked=False),
    "matrix_fraction_denoiser": _Known("Of the matrix rate, denoiser", "cost", "%", 1e2, ranked=False),
    "matrix_rate_flop_per_s": _Known("Matrix rate", "cost", "GFLOP/s", 1e-9, ranked=False),
    "peer_latency_s": _Known("Stock pipeline", "cost", "ms", 1e3),
    "overhead_ratio": _Known("Against the stock pipeline", "cost", "", ranked=False),
}
_COST_UNITS = {"s": ("ms", 1e3), "bytes": ("MiB", 2.0**-20), "images/s": ("images/s", 1.0)}


def columns(records: Iterable[Record]) -> list[Display]:
    """The columns of a group: quality, then cost; quantities known here in their order, then all others by name."""
    found: dict[str, Quantity] = {}
    for record in records:
        for quantity in record.quantities:
            found.setdefault(quantity.name, quantity)
    return sorted((display(quantity) for quantity in found.values()), key=_place)


def display(quantity: Quantity) -> Display:
    """How `quantity` is shown."""
    known = _KNOWN.get(quantity.name)
    if known is not None:
        unit = quantity.unit if known.unit is None else known.unit
        return Display(
            quantity.name, known.title, unit, known.factor, known.kind, quantity.higher_is_better, known.ranked
        )
    if quantity.unit in _COST_UNITS:
        unit, factor = _COST_UNITS[quantity.unit]
        return Display(quantity.name, _stage(quantity.name), unit, factor, "cost", quantity.higher_is_better)
    return Display(quantity.name, quantity.name, quantity.unit, 1.0, "quality", quantity.higher_is_better)


def _stage(name: str) -> str:
    """`Text encoder` for `latency_text_encoder_s`: a part of the latency is called after its stage."""
    if name.startswith("latency_") and name.endswith("_s"):
        return name.removeprefix("latency_").removesuffix("_s").replace("_", " ").capitalize()
    return name


def _place(column: Display) -> tuple[bool, int, str]:
    """Sort key of columns."""
    known = list(_KNOWN)
    return column.kind != "quality", known.index(column.name) if column.name in known else len(known), column.name


def digits(column: Display, records: Iterable[Record]) -> int:
    """Digits after the point for a whole column: two significant digits of the median half-width of its intervals."""
    found = [quantity for record in records if (quantity := record.quantity(column.name)) is not None]
    widths = [(item.ci_high - item.ci_low) / 2 * column.factor for item in found if item.ci_high > item.ci_low]
    if widths:
        return digits_of(statistics.median(widths))
    whole = all(float(item.value * column.factor).is_integer() for item in found)
    return 0 if whole else 1


def digits_of(half_width: float) -> int:
    """Digits after the point that show two significant ones of `half_width`, at most 5."""
    return 0 if half_width <= 0 else min(5, max(0, 1 - math.floor(round(math.log10(half_width), 9))))


def number(value: float, places: int) -> str:
    """A value with `places` digits and thousands separated; never a negative zero."""
    text = f"{value:,.{places}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text


def interval(quantity: Quantity, column: Display, places: int) -> str | None:
    """`[low, high]` in the column's unit; None where the value has no uncertainty."""
    if quantity.ci_low == quantity.ci_high:
        return None
    return f"[{number(quantity.ci_low * column.factor, places)}, {number(quantity.ci_high * column.factor, places)}]"
