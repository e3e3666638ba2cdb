"""What all adapters of tools share."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tool_output import DATA, latencies_ns, printed, work

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


@pytest.mark.parametrize(
    ("format", "name", "number"),
    [
        (Format.PTE, "executor_runner_1.5.txt", r"(?<=: )[0-9.]+(?= ms)"),
        (Format.ONNX, "onnxruntime_perf_test_1.23.txt", r"(?<=,)[0-9.]+(?=,)"),
        (Format.PTL, "speed_benchmark_torch.txt", r'(?<="value":")[0-9.]+|(?<="value": ")[0-9.]+'),
        (Format.TFLITE, "tflite_2.17.txt", r"(?<=avg=)[0-9.e+]+"),
        (Format.TFLITE, "litert_2.1.txt", r"(?<=\(avg\): )[0-9.]+|(?<=\(avg\):)\s+[0-9.]+"),
    ],
)
@pytest.mark.parametrize("figure", ["0", "-5", "1e999", "9" * 5000, "1e300", "²"])
def test_figures_that_cannot_be_are_refused(format: Format, name: str, number: str, figure: str) -> None:
    text, table = (DATA / name).read_text(), (DATA / "onnxruntime_perf_test.csv").read_text()
    text, table = (re.sub(number, figure, each) for each in (text, table))
    runs = {Format.PTE: 4, Format.ONNX: 5, Format.PTL: 3}.get(format, 50)
    asked = [work(runs=runs, warmup=warmup) for runs in range(1, 60) for warmup in (0, 1, 10)]
    files = {"perf_test.csv": table.encode()}
    for workload in asked:
        with pytest.raises(DeviceError, match="cannot read the output of"):
            TOOLS[format].parse(printed(text, files=files), workload)
    assert figure in text + table and runs


@pytest.mark.parametrize(
    "text", ["count=5 " + "a" * 10**6, "PyTorchObserver {" * 10**5, "=" * 10**6 + "Iteration 1 of"]
)
@pytest.mark.parametrize("format", list(Format))
def test_a_flood_takes_no_time(format: Format, text: str) -> None:
    began_s = time.perf_counter()
    with pytest.raises(DeviceError):
        TOOLS[format].parse(printed(text + "\nMain run finished. Microseconds per iter: 1"), work())
    assert time.perf_counter() - began_s < 3
