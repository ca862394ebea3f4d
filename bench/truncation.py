"""Prompts longer than a text encoder reads, said once instead of at every call.

diffusers warns of each in every call of a pipeline, so that a run of one long prompt says the same line some fifty
times, with the rest of the prompt in it. The image is that of the beginning of the prompt; this says so.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

_WARNING = re.compile(r"input was truncated because .* can only handle sequences up to\s*(\d+) tokens", re.DOTALL)
_LOGGER = "diffusers"


class Cut(logging.Filter):
    """Keeps diffusers' warnings of prompts that are cut off from the log; `tokens` are the lengths they were cut to."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: set[int] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        found = _WARNING.search(record.getMessage())
        if found is not None:
            self.tokens.add(int(found.group(1)))
        return found is None

    @property
    def line(self) -> str | None:
        """`some prompts are longer than the 77 tokens ...`; None where none was cut."""
        if not self.tokens:
            return None
        lengths = " or ".join(f"{count:,}" for count in sorted(self.tokens))
        return f"some prompts are longer than the {lengths} tokens that are read; their images show the beginning"


@contextmanager
def cut_prompts() -> Iterator[Cut]:
    """Inside, prompts that are cut off are noted and not logged."""
    from diffusers.utils import logging as diffusers_logging

    diffusers_logging.get_logger(_LOGGER)  # the library makes its handler when it is first asked for a logger
    cut = Cut()
    handlers = list(logging.getLogger(_LOGGER).handlers)
    for handler in handlers:
        handler.addFilter(cut)
    try:
        yield cut
    finally:
        for handler in handlers:
            handler.removeFilter(cut)
