"""Strips: small images all but exact, large ones reduced, any shape a square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bench.strips import COLOUR_STEP, LARGEST, write_strip

RNG = np.random.default_rng(0)


def images(count: int, height: int, width: int) -> list[np.ndarray]:
    return [RNG.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def stored(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.int16)


def test_small_images_are_exact_to_half_a_step_of_colour(tmp_path: Path) -> None:
    made = images(3, 32, 32)
    write_strip(made, tmp_path / "a.webp")
    strip = stored(tmp_path / "a.webp")
    assert strip.shape == (32, 96, 3)
    assert np.abs(strip - np.concatenate(made, axis=1)).max() <= COLOUR_STEP // 2
    assert len(np.unique(strip)) <= 255 // COLOUR_STEP + 1  # rounded indeed, which is what makes it small


def test_white_and_black_stay(tmp_path: Path) -> None:
    flat = [np.full((8, 8, 3), value, np.uint8) for value in (0, 255)]
    write_strip(flat, tmp_path / "a.webp")
    assert set(stored(tmp_path / "a.webp").ravel()) == {0, 255}


def test_large_images_are_reduced_and_sixteen_fit(tmp_path: Path) -> None:
    write_strip(images(16, 600, 600), tmp_path / "a.webp")
    assert stored(tmp_path / "a.webp").shape == (LARGEST, 16 * LARGEST, 3)
    write_strip(images(70, 300, 300), tmp_path / "b.webp")  # wider than a WebP can be
    assert stored(tmp_path / "b.webp").shape == (LARGEST, 63 * LARGEST, 3)


def test_what_is_not_square_stands_on_white(tmp_path: Path) -> None:
    write_strip([np.zeros((16, 32, 3), np.uint8)] * 2, tmp_path / "a.webp")
    strip = stored(tmp_path / "a.webp")
    assert strip.shape == (32, 64, 3)
    assert (strip[:8] == 255).all()
    assert (strip[8:24] == 0).all()
    assert (strip[24:] == 255).all()
