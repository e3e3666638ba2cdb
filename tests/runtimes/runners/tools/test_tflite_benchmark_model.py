"""TFLite's ``benchmark_model``: its command line, and its output in several versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tool_output import DATA, SUBJECT, parse, printed, work

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.runners.tools import TOOLS


def test_takes_the_second_count_line() -> None:
    result = parse(Format.TFLITE, "tflite_2.17.txt", work())
    assert result.runner == "TFLite benchmark_model"
    summary = result.summary
    assert summary is not None
    assert (summary.count, summary.mean_ns, summary.sd_ns) == (50, 105_784_000, 260_000)
    assert (summary.min_ns, summary.median_ns, summary.p95_ns) == (105_416_000, 105_718_000, 106_281_000)
    assert (result.load_ns, result.first_ns) == (87_639_000, 106_436_000)
    assert result.peak_memory_bytes == round(22.1 * 1024 * 1024)


def test_reads_exponents_and_old_lines_without_percentiles() -> None:
    summary = parse(Format.TFLITE, "tflite_old_exponent.txt", work()).summary
    assert summary is not None
    assert (summary.mean_ns, summary.sd_ns, summary.median_ns) == (1.24027e9, 21_260_000, None)


def test_reads_runs_that_are_all_the_same() -> None:
    summary = parse(Format.TFLITE, "tflite_all_same.txt", work()).summary
    assert summary is not None
    assert (summary.mean_ns, summary.sd_ns, summary.min_ns, summary.max_ns) == (9000, 0, 9000, 9000)


def test_failure_shows_the_text() -> None:
    with pytest.raises(DeviceError, match="Didn't find op for builtin opcode 'GELU'"):
        parse(Format.TFLITE, "tflite_failed.txt", work())


def test_refuses_more_runs_than_were_asked_for() -> None:
    with pytest.raises(DeviceError, match="expected 20 timed runs, got 50"):
        parse(Format.TFLITE, "tflite_2.17.txt", work(runs=20))


def test_warm_up_alone_is_not_taken_for_the_result() -> None:
    text = (DATA / "tflite_2.17.txt").read_text().split("INFO: Running benchmark for at least 50")[0]
    with pytest.raises(DeviceError, match="warm-up and timed"):
        TOOLS[Format.TFLITE].parse(printed(text), work(runs=5))


def test_command_asks_for_exactly_the_runs() -> None:
    command = TOOLS[Format.TFLITE].command(SUBJECT, work(gap_ms=100.0, threads=4))
    assert {"--num_runs=50", "--min_secs=0", "--warmup_runs=10", "--num_threads=4", "--run_delay=0.1"} <= set(
        command.arguments
    )
    assert "--input_layer_value_files=image:aaaaaaaaaaaaaaaa.input0.bin" in command.arguments
    assert command.outputs == ("aaaaaaaaaaaaaaaa.output",)


@given(mean=st.floats(1.0, 9e9), count=st.integers(2, 10_000))
def test_every_printed_average_comes_back(mean: float, count: int) -> None:
    average = f"{mean:.6g}"
    text = f"INFO: count=1 curr=5\nINFO: count={count} first=1 curr=1 min=1 max=9e9 avg={average} std=3\n"
    summary = TOOLS[Format.TFLITE].parse(printed(text), work(runs=count)).summary
    assert summary is not None
    assert summary.mean_ns == pytest.approx(float(average) * 1e3)


def test_litert_is_told_apart_by_its_output_on_stderr() -> None:
    text = (DATA / "litert_2.1.txt").read_text()
    result = TOOLS[Format.TFLITE].parse(printed("", err=text), work())
    assert result.runner == "LiteRT benchmark_model"
    assert result.summary is not None
    assert (result.summary.mean_ns, result.summary.sd_ns) == (6.85e6, 0.12e6)
    assert (result.load_ns, result.first_ns) == (12_500_000, 8_750_000)
