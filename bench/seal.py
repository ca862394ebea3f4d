"""A hash inside a record, so that a number that was changed by hand is found when it is read.

It is the sha256 of the file's text without the line that holds it (line ends as on Unix). It guards against slips, not
against somebody who writes a new hash. A record from before there was one has none and is read as it is.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from bench.errors import RecordError

FIELD = "sha256"
_LINE = re.compile(rf'^ "{FIELD}": "([^"\n]*)",?\n', re.MULTILINE)


def seal(text: str) -> str:
    """`text`, the JSON of a record (indented by 1, keys sorted) with an empty `sha256`, with its hash filled in."""
    found = _LINE.search(text)
    assert found is not None
    return f"{text[: found.start(1)]}{_digest(text)}{text[found.end(1) :]}"


def check_seal(text: str, stated: object, path: Path) -> None:
    """Compare the text of a record with the hash that it states, if it does.

    Raises:
        RecordError: where they do not agree, naming both.
    """
    if stated is None:
        return
    digest = _digest(text.replace("\r\n", "\n"))
    if stated != digest:
        raise RecordError(
            f"{path}: edited after it was written (it states {FIELD} {str(stated)[:12]}, its content has "
            f"{digest[:12]}); put it back, or run the cell again with --force"
        )


def _digest(text: str) -> str:
    return hashlib.sha256(_LINE.sub("", text, count=1).encode()).hexdigest()
