"""One look for all figures: fixed settings, a palette that colour-blind readers can tell apart, and exact bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

TEACHERS = ("sdxl", "sdxl-euler", "sdxl-ddim", "sdxl-dpm", "sdxl-dpmpp", "sdxl-unipc")
"""Methods that sample the teacher itself: drawn in grey, as what the students are compared with."""

INK = "#1f2328"
FAINT = "#8b949e"
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito, without the faint ones
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_GREYS = ("#24292f", "#57606a", "#7d8590", "#a0a7b0")
_INKS = {"#CC79A7": "#a3477c", "#E69F00": "#8f6300", "#56B4E9": "#1d76ad", "#D55E00": "#b85100", "#009E73": "#007a59"}
_SETTINGS: dict[Any, object] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so that letters are the same everywhere
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a prompt or a name may hold a dollar sign
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.7,
    "lines.markersize": 6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "fewstep-bench",
}

_FONTS = "'DejaVu Sans', Verdana, 'Bitstream Vera Sans', sans-serif"
_TAG = re.compile("<[^>]*>")
_SPARE_DIGITS = re.compile(r"(\d\.\d\d)\d+")
_SPARE = re.compile(r' (?:id="[a-z0-9]+_[0-9]+"|transform="rotate\(-0 [^"]*")|(?<=^)\s+', re.MULTILINE)
_CODE = np.array([65536, 256, 1], dtype=np.int32)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one series; no two of a report share all three."""

    colour: str
    marker: str
    dashes: str

    @property
    def ink(self) -> str:
        """The colour of its name: darker where the colour itself is too faint for letters on white."""
        return _GREYS[1] if self.colour in _GREYS else _INKS.get(self.colour, self.colour)


def looks(series: Iterable[str]) -> dict[str, Look]:
    """A look for each name, by its place among the sorted names; a teacher's samplers are grey."""
    names = sorted(set(series))
    teachers = [name for name in TEACHERS if name in names]
    found = {name: Look(_GREYS[place % len(_GREYS)], _MARKERS[place], ":") for place, name in enumerate(teachers)}
    for place, name in enumerate(name for name in names if name not in teachers):
        turn = place // len(_COLOURS)
        marker = _MARKERS[(place % len(_COLOURS) + turn) % len(_MARKERS)]
        found[name] = Look(_COLOURS[place % len(_COLOURS)], marker, ("-", "--", "-.")[turn % 3])
    return found


def further_samplers(series: Iterable[str]) -> tuple[str, ...]:
    """The names that sample the teacher beside the first one: where room is short, that one stands for all."""
    names = set(series)
    return tuple(name for name in TEACHERS if name in names)[1:]


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with these settings whatever the user's own matplotlib settings are; those are put back afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, on the Agg canvas: no window system, no global state."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def encode(figure: Figure, dpi: int = 160) -> dict[str, bytes]:
    """The figure as {"svg": ..., "png": ...}, with no date and no version inside.

    The SVG keeps its words as words, in DejaVu Sans or a font of about its widths: a quarter of the size of outlines,
    and text that can be searched and edited. The PNG has a palette: a chart has few colours, so nobody sees it.
    """
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    text = _TAG.sub(_short, _METADATA.sub("", svg.getvalue().decode("utf-8")))
    png = io.BytesIO()
    _with_palette(rendered(figure, dpi)).save(png, format="png", optimize=True, dpi=(dpi, dpi))
    return {"svg": text.encode("utf-8"), "png": png.getvalue()}


def rendered(figure: Figure, dpi: int) -> Image.Image:
    """The figure as RGB pixels."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=dpi)
    with Image.open(png) as image:
        return image.convert("RGB")


def _with_palette(image: Image.Image) -> Image.Image:
    """The image in its 256 most frequent colours, each exact; what blends at an edge takes the nearest."""
    pixels = np.asarray(image, dtype=np.int32)
    codes, places, counts = np.unique(pixels @ _CODE, return_inverse=True, return_counts=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    palette = colours[np.argsort(-counts, kind="stable")[:256]]
    distances = ((colours[:, None, :] - palette[None, :, :]) ** 2).sum(axis=2)
    indices = distances.argmin(axis=1).astype(np.uint8)[places].reshape(pixels.shape[:2])
    small = Image.fromarray(indices, mode="P")
    small.putpalette(palette.ravel().tolist())
    return small


def _short(tag: re.Match[str]) -> str:
    """A tag of an SVG with its numbers to a hundredth of a point, and with fonts to fall back on."""
    return _SPARE_DIGITS.sub(r"\1", _SPARE.sub("", tag.group())).replace("'DejaVu Sans'", _FONTS)
