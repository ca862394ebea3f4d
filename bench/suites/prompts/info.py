"""What a plan needs to know about a file of prompts; no torch."""

from __future__ import annotations

from pathlib import Path

from bench.errors import UsageError
from bench.provenance import file_hash
from bench.suites.info import SuiteInfo
from bench.suites.prompts.rows import read_rows

PARTI_PROMPTS = 1632
"""In PartiPrompts.tsv of google-research/parti."""

METRICS = ("clip-score", "pickscore", "hpsv2", "image-reward", "aesthetic")


def prompts_info(path: Path) -> SuiteInfo:
    """The suite of a file: its name has the hash of the content, so that lists are never mixed."""
    count, digest = len(read_rows(path)), file_hash(path)[:8]
    return SuiteInfo(f"prompts-{digest}", f"{path.name} ({digest})", count, count, METRICS, 512, path)


def parti_info(path: Path) -> SuiteInfo:
    """The suite of PartiPrompts.

    Raises:
        UsageError: where the file is not the whole list.
    """
    count = len(read_rows(path))
    if count != PARTI_PROMPTS:
        raise UsageError(
            f"{path} has {count:,} prompts and PartiPrompts {PARTI_PROMPTS:,}; take PartiPrompts.tsv as published, or "
            "--prompts for a list of your own"
        )
    return SuiteInfo("parti", "PartiPrompts", count, count, METRICS, 512, path)
