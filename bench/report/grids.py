"""Image grids: the same prompt and seed down the methods. The first prompts of the suite, none chosen by hand."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image

from bench.report.frame import label, steps_text
from bench.report.sheets import Pixels, Sheet, StoredPrompt
from bench.report.style import FAINT, INK, TEACHERS, drawing, further_samplers, new_figure, rendered

PER_GRID = 8
MOST_ROWS = 16
TILE = 128  # pixels of one enlarged image
GAP = 6
_DPI = 144
_LEFT = 124  # pixels for the names of the rows
_CHARACTERS = 17  # of a caption line above one tile
_LINE = 16  # pixels a caption line
_MARGIN = 10


def grids(slug: str, sheets: Sequence[Sheet], prompts: Sequence[StoredPrompt]) -> dict[str, bytes]:
    """{file name: bytes}: the first `PER_GRID` prompts that every sheet has, as one WebP without loss."""
    chosen = range(min([PER_GRID, len(prompts), *(sheet.count for sheet in sheets)]))
    if not sheets or not chosen:
        return {}
    with drawing():
        drawn = _draw(rows(sheets), [prompts[index] for index in chosen], chosen)
    return {f"grid-{slug}-1.webp": drawn}


def rows(sheets: Sequence[Sheet]) -> list[Sheet]:
    """All sheets but those of the teacher's further samplers, where that is few; else each method at its fewest steps.

    The teacher at its most steps is the last row then. Never more than `MOST_ROWS`.
    """
    further = set(further_samplers({label(sheet.record.cell) for sheet in sheets}))
    kept = [sheet for sheet in sheets if label(sheet.record.cell) not in further]
    if len(kept) <= MOST_ROWS:
        return kept
    kept.sort(key=lambda sheet: sheet.record.cell.num_inference_steps)
    fewest: dict[str, Sheet] = {}
    for sheet in kept:
        fewest.setdefault(label(sheet.record.cell), sheet)
    teacher = [sheet for name in TEACHERS for sheet in kept if label(sheet.record.cell) == name]
    last = teacher[-1:] if len(teacher) > 1 else []
    return list(fewest.values())[: MOST_ROWS - len(last)] + last


def enlarge(image: Pixels, side: int = TILE) -> Pixels:
    """`image` (H, H, 3) as (side, side, 3): nearest neighbour up, so that pixels stay what they are; area mean down."""
    if image.shape[0] == side:
        return image
    method = Image.Resampling.NEAREST if image.shape[0] < side else Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize((side, side), method), dtype=np.uint8)


def compose(sheets: Sequence[Sheet], chosen: Sequence[int]) -> Pixels:
    """All tiles on white, a row a sheet, a column an image; a wider gap where the number of steps changes."""
    tops = row_tops(sheets)
    canvas = np.full((tops[-1] + TILE, len(chosen) * (TILE + GAP) - GAP, 3), 255, dtype=np.uint8)
    for sheet, top in zip(sheets, tops, strict=True):
        for column, index in enumerate(chosen):
            left = column * (TILE + GAP)
            canvas[top : top + TILE, left : left + TILE] = enlarge(sheet.image(index))
    return canvas


def row_tops(sheets: Sequence[Sheet]) -> list[int]:
    """The first pixel row of each sheet."""
    tops, top = [], 0
    for place, sheet in enumerate(sheets):
        if place:
            same = sheet.record.cell.num_inference_steps == sheets[place - 1].record.cell.num_inference_steps
            top += TILE + (GAP if same else 3 * GAP)
        tops.append(top)
    return tops


def _draw(sheets: Sequence[Sheet], prompts: Sequence[StoredPrompt], chosen: Sequence[int]) -> bytes:
    pixels = compose(sheets, chosen)
    captions = [textwrap.wrap(prompt.text, _CHARACTERS, max_lines=8, placeholder=" …") for prompt in prompts]
    head = max(len(lines) for lines in captions) * _LINE + _MARGIN
    width = _LEFT + pixels.shape[1] + _MARGIN
    height = _MARGIN + head + pixels.shape[0] + _MARGIN
    figure = new_figure(width / _DPI, height / _DPI)
    for column, lines in enumerate(captions):
        x = _LEFT + column * (TILE + GAP)
        for place, line in enumerate(reversed(lines)):
            y = 1 - (head - 2 - place * _LINE) / height
            figure.text(x / width, y, line, fontsize=6.5, va="baseline", color=INK)
    for sheet, top in zip(sheets, row_tops(sheets), strict=True):
        y = 1 - (_MARGIN + head + top + TILE / 2) / height
        cell = sheet.record.cell
        right = (_LEFT - 10) / width
        figure.text(right, y + 1 / height, label(cell), fontsize=8, weight="bold", ha="right", va="bottom")
        steps = steps_text(cell.num_inference_steps)
        figure.text(right, y - 2 / height, steps, fontsize=7, ha="right", va="top", color=FAINT)
    image = io.BytesIO()
    drawn = rendered(figure, _DPI)
    drawn.paste(Image.fromarray(pixels), (_LEFT, _MARGIN + head))
    drawn.save(image, format="webp", lossless=True, quality=100, method=4)
    return image.getvalue()
