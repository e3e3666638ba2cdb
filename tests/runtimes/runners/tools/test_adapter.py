"""What all adapters of tools share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tool_output import latencies_ns, printed, work

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.runners.tools import TOOLS
from runtimes.runners.tools.adapter import find_number


@pytest.mark.parametrize("format", list(Format))
@given(text=st.text(max_size=300))
def test_rubbish_is_always_an_error_that_shows_it(format: Format, text: str) -> None:
    with pytest.raises(DeviceError, match=r"it printed"):
        TOOLS[format].parse(printed(text), work())


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_programs_print_them(number: float) -> None:
    """As C++ streams do, and in full; the last one counts."""
    assert find_number("took:", f"took: 7 s, took:   {number!r} s") == number
    assert find_number("took:", f"took: {number:.6g}", 1e3) == float(f"{number:.6g}") * 1e3


def test_what_is_not_there_is_none() -> None:
    assert find_number("took:", "took: nan") is None
    measured = TOOLS[Format.PTE].measured([3, 4], first_ns=2.6)
    assert (measured.runner, measured.runtime) == ("executor_runner", "executor_runner (its own build)")
    assert (measured.load_ns, measured.first_ns, latencies_ns(measured)) == (None, 3, [3, 4])


def test_a_count_that_is_not_the_one_asked_for_is_refused_with_the_text() -> None:
    TOOLS[Format.PTE].check_count(50, work(), printed("fine"))
    with pytest.raises(DeviceError, match=r"expected 50 timed runs, got 49; it printed:\s+seen"):
        TOOLS[Format.PTE].check_count(49, work(), printed("seen"))
