"""Text from outside, made safe for where it goes: a terminal, a table that a spreadsheet opens, a record.

Prompts, file names, checkpoints and plugins may hold anything. What a terminal would act on (escape sequences, the
marks that turn the direction of writing) is shown as `\\x1b`; what a spreadsheet would compute begins with `'`; the
value of an environment variable that is a secret is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache

_ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_LONGEST_LINE = 2000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SECRET_NAME = re.compile(r"TOKEN(?!I)|SECRET|PASSW(OR)?D|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY", re.IGNORECASE)
_SECRET_SHAPE = re.compile(r"\bhf_[A-Za-z0-9]{20,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_SHORTEST_SECRET = 8
REDACTED = "[left out]"


def printable(text: str) -> str:
    """`text` with whatever a terminal acts on spelled out; line ends and tabs stay."""
    return _ACTS.sub(lambda match: _spelled(match.group()), text)


def one_line(text: str) -> str:
    """The same on one line, and not without end; secrets left out."""
    flat = printable(redacted(text)).replace("\n", "\\n").replace("\t", " ")
    return flat if len(flat) <= _LONGEST_LINE else f"{flat[:_LONGEST_LINE]} …"


def cell_text(value: object) -> object:
    """A value of a CSV table: text that a spreadsheet would take for a formula is quoted with `'`."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value  # a negative number


def redacted(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` without the values of environment variables that hold secrets, nor anything of a token's shape."""
    for secret in _secrets(tuple(sorted((os.environ if environment is None else environment).items()))):
        text = text.replace(secret, REDACTED)
    return _SECRET_SHAPE.sub(REDACTED, text)


@lru_cache(maxsize=4)
def _secrets(environment: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """The longest first, so that one inside another goes with it."""
    found = {value for name, value in environment if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET}
    return tuple(sorted(found, key=len, reverse=True))


def _spelled(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
