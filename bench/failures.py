"""What a failed cell says: one line for its record, the trace in a log."""

from __future__ import annotations

import traceback
from pathlib import Path

from bench.errors import FewstepError
from bench.text import redacted


def reason_of(error: Exception, log: Path) -> str:
    """One line for the record; the trace of an error that is not meant for users goes to `log`."""
    if isinstance(error, FewstepError):
        return redacted(str(error))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(redacted("".join(traceback.format_exception(error))), encoding="utf-8")
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {redacted(first_line)} (trace in {log.parent.name}/{log.name})"
