"""Keep freed memory for the next step instead of handing it back to the kernel.

By default glibc maps every large tensor anew, and the kernel clears each of its pages: in a training that allocates the
same activations at every step this costs more than a tenth of the step. What a training needs at most stays the same.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt, in malloc.h
_NEVER_TRIM, _NO_MAPPINGS = -1, 0


def keep_heap() -> bool:
    """Ask for it, for the rest of this process; False where the C library is another, and nothing changes."""
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _NEVER_TRIM) and mallopt(_MMAP_MAX, _NO_MAPPINGS))
