"""What a plan needs to know about the shapes suite; no torch."""

from __future__ import annotations

from pathlib import Path

from bench.suites.info import SuiteInfo

ZOO = Path(__file__).parent / "zoo"
"""The suite's weights, shipped with the package."""

INFO = SuiteInfo(
    name="shapes",
    title="Captioned shapes (embedded)",
    prompts=10_000,
    default_limit=1_000,
    metrics=("fd-shapes", "kid-shapes", "clip-shapes", "attributes", "preference"),
    image_size=32,
    manifest=ZOO / "manifest.json",
    own_family=True,
)
