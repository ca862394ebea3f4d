"""The image browser: which prompts and strips it has, as data for its script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bench.report.frame import label
from bench.report.sheets import Sheet, StoredPrompt


@dataclass(frozen=True)
class Browser:
    """`data` is JSON: `prompts`, `steps`, and `cells` as [name, steps, link to the strip, images, their side]."""

    data: dict[str, Any]
    cells: int

    @property
    def prompts(self) -> Sequence[str]:
        """Texts of the prompts in order."""
        prompts: Sequence[str] = self.data["prompts"]
        return prompts

    @property
    def steps(self) -> Sequence[int]:
        """All numbers of steps, the fewest first."""
        steps: Sequence[int] = self.data["steps"]
        return steps


def browser(sheets: Sequence[Sheet], prompts: Sequence[StoredPrompt], base: str) -> Browser | None:
    """What there is to browse, or None where no strip was stored."""
    shown = prompts[: max((sheet.count for sheet in sheets), default=0)]
    if not shown:
        return None
    cells = [
        [
            label(sheet.record.cell),
            sheet.record.cell.num_inference_steps,
            strip_link(sheet, base),
            sheet.count,
            sheet.size,
        ]
        for sheet in sheets
    ]
    steps = sorted({sheet.record.cell.num_inference_steps for sheet in sheets})
    return Browser({"prompts": [prompt.text for prompt in shown], "steps": steps, "cells": cells}, len(cells))


def strip_link(sheet: Sheet, base: str) -> str:
    """To the strip's file, from a page that sees the results folder as `base`."""
    return f"{base}/sheets/{quote(sheet.file, safe='')}"
