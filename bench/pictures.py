"""Image files from outside, decoded with care.

Only the formats that are asked for are tried (Pillow would start other programs for some), the size is looked at before
a pixel is decoded, and whatever a decoder stumbles over is one error.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from bench.errors import FewstepError

MAX_PIXELS = 2**26
"""8192 x 8192: more than any model here makes, 200 MB as pixels."""
PHOTOGRAPHS = ("JPEG", "PNG", "WEBP", "BMP")
STORED = ("PNG",)


class ImageError(FewstepError):
    """A file is not an image that is read here."""


@contextmanager
def opened(file: Path | bytes, formats: Sequence[str], max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """The image in a file, or in its bytes; it may be decoded within this context.

    Raises:
        ImageError: where it is none of `formats`, larger than `max_pixels`, or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=list(formats)) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise ImageError(f"too large ({width} x {height} pixels, of which at most {max_pixels:,} are read)")
                yield image
    except FewstepError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"too large (more than {max_pixels:,} pixels)") from error
    except Exception as error:  # decoders fail in many ways over bytes that somebody chose
        raise ImageError("damaged, cut short or no image") from error
