"""Packed lists: the same numbers again, a fifth of the size, and nothing believed of damaged ones."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.columns import SHORTEST, pack, unpack

RNG = np.random.default_rng(0)
SIX_DIGITS = [float(f"{value:.6g}") for value in RNG.normal(size=1000) * 10.0 ** RNG.integers(-4, 5, 1000)]


def there_and_back(values: list[float]) -> tuple[float, ...]:
    return unpack(json.loads(json.dumps(pack(values))))


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (SIX_DIGITS, "decimal"),
        ([100.0, 0.0] * 500, "decimal"),
        ([0.0] * 100, "decimal"),
        ([float(value) for value in RNG.normal(size=200)], "double"),
        ([5e-324, 1.7976931348623157e308, -1e-300] * 30, "double"),
    ],
)
def test_numbers_come_back_exactly(values: list[float], form: str) -> None:
    packed = pack(values)
    assert isinstance(packed, dict)
    assert packed["form"] == form
    assert there_and_back(values) == tuple(values)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=SHORTEST, max_size=90))
@settings(max_examples=60, deadline=None)
def test_any_finite_numbers_come_back(values: list[float]) -> None:
    assert there_and_back(values) == tuple(values)


def test_six_digits_cost_less_than_half_of_their_text() -> None:
    assert len(json.dumps(pack(SIX_DIGITS))) < 0.5 * len(json.dumps(SIX_DIGITS))
    assert len(json.dumps(pack([100.0, 0.0] * 500))) < 200


def test_short_lists_stay_readable_and_lists_are_read() -> None:
    assert pack([1.5, 2.0]) == [1.5, 2.0]
    assert unpack([1.5, 2.0]) == (1.5, 2.0)


BOMB = base64.b85encode(zlib.compress(bytes(10**7))).decode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 999}, "too many"),
        ({"n": -1}, "-1 numbers"),
        ({"n": 1.0}, "1.0 numbers"),
        ({"form": "pickle"}, "packed as 'pickle'"),
        ({"packed": "not base85 \\"}, "base85"),
        ({"packed": BOMB}, "too many"),
        ({"packed": base64.b85encode(b"not deflated").decode()}, "damaged"),
        ({"more": 1}, "neither a list nor packed"),
    ],
)
def test_what_is_damaged_is_refused(change: dict[str, object], message: str) -> None:
    good = pack(SIX_DIGITS)
    assert isinstance(good, dict)
    with pytest.raises(ValueError, match=message):
        unpack(good | change)


def test_what_is_cut_or_no_list_is_refused() -> None:
    good = pack(SIX_DIGITS)
    assert isinstance(good, dict)
    with pytest.raises(ValueError, match="cut short"):
        unpack(good | {"packed": good["packed"][:-20]})
    with pytest.raises(ValueError, match="neither"):
        unpack("text")
