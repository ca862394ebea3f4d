"""File names and anchors from names that may hold anything: a method is called what its author likes."""

from __future__ import annotations

import hashlib
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 80


def safe_name(text: str) -> str:
    """`text` where it can be a file's name and an anchor; else what is left of it with six digits of its hash.

    Lower-cased names do not collide either, as some file systems know no case.
    """
    kept = _UNSAFE.sub("-", text).strip(".-")[:_LONGEST].lower()
    if kept and kept == text:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{kept or 'x'}-{digest}"


def is_file_name(text: str) -> bool:
    """Whether a file of that name lies in the folder that it is looked for in."""
    return bool(text) and not {"/", "\\", "\0"} & set(text) and text not in (".", "..")
