"""Numbers that devices tell, or do not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.devices.figures import first_number, number, whole, within

NEITHER = ["", " ", "a", "-", "²", "٣", "１", "1_000", "0x10", "nan", "inf", "-inf", "1e999", "9" * 5000, "1,5", "1 2"]


@pytest.mark.parametrize("text", [*NEITHER, "1.0", "1e3", "9" * 20])
def test_what_is_no_integer(text: str) -> None:
    assert whole(text) is None


@pytest.mark.parametrize("text", [*NEITHER, "1.2.3", "e5", ".", "--1"])
def test_what_is_no_number(text: str) -> None:
    assert number(text) is None


@given(st.integers(-(10**19) + 1, 10**19 - 1))
def test_integers_are_read(value: int) -> None:
    assert whole(f" {value}\n") == value and whole(None) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_numbers_are_read(value: float) -> None:
    assert number(f"{value!r}\n") == value == first_number(f"  {value!r} and more") and number(None) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("12.5 99.1\n", 12.5), ("-3", -3.0), ("3°", 3.0), ("3a", None), ("1.2.3", None)],
)
def test_the_first_word_is_a_number_or_nothing_is(text: str, value: float | None) -> None:
    assert first_number(text) == value


def test_what_lies_outside_is_nothing() -> None:
    assert (within(3, 0, 3), within(3.1, 0, 3), within(math.nan, 0, 3), within(None, 0, 3)) == (3, None, None, None)
