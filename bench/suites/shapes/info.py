"""The shapes suite as plain data."""

from __future__ import annotations

from bench.suites.info import SuiteInfo
from bench.suites.shapes.vocabulary import IMAGE_SIZE

INFO = SuiteInfo(
    name="shapes",
    title="captioned shapes (embedded)",
    prompts=1000,
    default_limit=1000,
    metrics=("fd-shapes", "kid-shapes", "clip-shapes", "attributes", "preference"),
    image_size=IMAGE_SIZE,
)
