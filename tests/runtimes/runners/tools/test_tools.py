"""Adapters of the runtimes' own tools: command lines, and parsers on recorded output of several versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.runners.tools import TOOLS
from runtimes.runners.tools.adapter import ToolInput, ToolOutput, ToolRequest, ToolResult
from runtimes.runners.workload import Workload

DATA = Path(__file__).resolve().parents[3] / "data" / "tools"
IMAGE = ToolInput(name="image", shape=(1, 3, 224, 224), dtype="float32", file="in.bin")


def request(**changes: object) -> ToolRequest:
    fields: dict[str, object] = {
        "model": "m.tflite",
        "inputs": (IMAGE,),
        "output": "base",
        "output_count": 1,
    }
    work = {name: changes.pop(name) for name in list(changes) if name in Workload.__struct_fields__}
    workload = Workload(**{"warmup": 10, "runs": 50, **work})  # type: ignore[arg-type]
    return ToolRequest(**{**fields, "workload": workload, **changes})  # type: ignore[arg-type]


def parse(format: Format, name: str, wanted: ToolRequest, **output: object) -> ToolResult:
    text = (DATA / name).read_text()
    return TOOLS[format].parse(ToolOutput(**{"stdout": text, "stderr": "", **output}), wanted)  # type: ignore[arg-type]


def test_tflite_takes_the_second_count_line() -> None:
    result = parse(Format.TFLITE, "tflite_2.17.txt", request())
    assert result.tool == "TFLite benchmark_model"
    summary = result.summary
    assert summary is not None
    assert (summary.count, summary.mean_ns, summary.sd_ns) == (50, 105_784_000, 260_000)
    assert (summary.min_ns, summary.median_ns, summary.p95_ns) == (105_416_000, 105_718_000, 106_281_000)
    assert (result.load_ns, result.first_ns) == (87_639_000, 106_436_000)
    assert result.peak_memory_bytes == round(22.1 * 1024 * 1024)


def test_tflite_reads_exponents_and_old_lines_without_percentiles() -> None:
    summary = parse(Format.TFLITE, "tflite_old_exponent.txt", request()).summary
    assert summary is not None
    assert (summary.mean_ns, summary.sd_ns, summary.median_ns) == (1.24027e9, 21_260_000, None)


def test_tflite_reads_runs_that_are_all_the_same() -> None:
    summary = parse(Format.TFLITE, "tflite_all_same.txt", request()).summary
    assert summary is not None
    assert (summary.mean_ns, summary.sd_ns, summary.min_ns, summary.max_ns) == (9000, 0, 9000, 9000)


def test_tflite_failure_shows_the_text() -> None:
    with pytest.raises(DeviceError, match="Didn't find op for builtin opcode 'GELU'"):
        parse(Format.TFLITE, "tflite_failed.txt", request())


def test_tflite_refuses_more_runs_than_were_asked_for() -> None:
    with pytest.raises(DeviceError, match="expected 20 timed runs, got 50"):
        parse(Format.TFLITE, "tflite_2.17.txt", request(runs=20))


def test_tflite_warm_up_alone_is_not_taken_for_the_result() -> None:
    text = (DATA / "tflite_2.17.txt").read_text().split("INFO: Running benchmark for at least 50")[0]
    with pytest.raises(DeviceError, match="warm-up and timed"):
        TOOLS[Format.TFLITE].parse(ToolOutput(text, ""), request(runs=5))


def test_litert_is_told_apart_by_its_output_on_stderr() -> None:
    text = (DATA / "litert_2.1.txt").read_text()
    result = TOOLS[Format.TFLITE].parse(ToolOutput("", text), request())
    assert result.tool == "LiteRT benchmark_model"
    assert result.summary is not None
    assert (result.summary.mean_ns, result.summary.sd_ns) == (6.85e6, 0.12e6)
    assert (result.load_ns, result.first_ns) == (12_500_000, 8_750_000)


def test_tflite_command_asks_for_exactly_the_runs() -> None:
    command = TOOLS[Format.TFLITE].command(request(gap_ms=100.0, threads=4))
    assert {"--num_runs=50", "--min_secs=0", "--warmup_runs=10", "--num_threads=4", "--run_delay=0.1"} <= set(
        command.arguments
    )
    assert "--input_layer_value_files=image:in.bin" in command.arguments
    assert command.outputs == ("base",)


def test_speed_benchmark_reads_every_run_and_exponents() -> None:
    result = parse(Format.PTL, "speed_benchmark_torch.txt", request(runs=3))
    assert result.latencies_ns == (599_746_000, 1_234_570_000, 584_558_000)


def test_speed_benchmark_without_runs_is_an_error() -> None:
    with pytest.raises(DeviceError, match="nan"):
        parse(Format.PTL, "speed_benchmark_torch_no_runs.txt", request(runs=3))


def test_speed_benchmark_needs_a_mask_for_threads() -> None:
    tool = TOOLS[Format.PTL]
    assert "no option for threads" in (tool.refusal(request(threads=2)) or "")
    assert tool.refusal(request(threads=2, affinity="c0")) is None
    assert "pause" in (tool.refusal(request(gap_ms=5.0, affinity="1")) or "")


@pytest.mark.parametrize("name", ["onnxruntime_perf_test_1.23.txt", "onnxruntime_perf_test_1.10.txt"])
def test_perf_test_reads_the_result_file_and_drops_the_warm_up(name: str) -> None:
    rows = (DATA / "onnxruntime_perf_test.csv").read_bytes()
    result = parse(Format.ONNX, name, request(runs=3, warmup=3), files={"perf_test.csv": rows})
    assert result.latencies_ns == (99_508_600, 99_000_000, 100_021_000)
    assert (result.load_ns, result.first_ns) == (217_932_000, 196_000_000)
    assert result.peak_memory_bytes == 271122432


def test_perf_test_without_rows_is_an_error() -> None:
    with pytest.raises(DeviceError, match="expected 3 timed runs, got 0"):
        parse(Format.ONNX, "onnxruntime_perf_test_1.23.txt", request(runs=3, warmup=1))


def test_perf_test_command_makes_up_for_its_single_warm_up() -> None:
    command = TOOLS[Format.ONNX].command(request(runs=50, warmup=10, threads=2))
    arguments = " ".join(command.arguments)
    assert "-m times -r 59" in arguments
    assert "-x 2" in arguments
    assert TOOLS[Format.ONNX].refusal(request(warmup=0)) is not None


def test_executor_runner_drops_the_first_iterations() -> None:
    result = parse(Format.PTE, "executor_runner_1.5.txt", request(runs=2, warmup=1))
    assert result.latencies_ns == (10_250_000, 9_900_000)
    assert (result.load_ns, result.first_ns) == (12_345_678, 9_876_543)


def test_executor_runner_on_android_is_read_from_the_log() -> None:
    log = (DATA / "executor_runner_logcat.txt").read_text()
    result = TOOLS[Format.PTE].parse(ToolOutput("", "", log), request(runs=2, warmup=1))
    assert result.latencies_ns == (10_250_000, 9_900_000)


def test_executor_runner_notices_dropped_log_lines() -> None:
    log = (DATA / "executor_runner_logcat.txt").read_text().replace("Iteration 2 of 3", "")
    with pytest.raises(DeviceError, match="expected iterations 1 to 3, got 2"):
        TOOLS[Format.PTE].parse(ToolOutput("", "", log), request(runs=2, warmup=1))


def test_old_executor_runner_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"use 1\.4 or newer"):
        parse(Format.PTE, "executor_runner_0.4.txt", request(runs=2, warmup=1))


def test_executor_runner_command() -> None:
    command = TOOLS[Format.PTE].command(request(output_count=2, threads=4))
    assert "--num_executions=60" in command.arguments
    assert "--inputs=in.bin" in command.arguments
    assert command.outputs == ("base-0.bin", "base-1.bin")


@pytest.mark.parametrize("format", list(Format))
@given(text=st.text(max_size=300))
def test_rubbish_is_always_an_error_that_shows_it(format: Format, text: str) -> None:
    with pytest.raises(DeviceError, match=r"it printed"):
        TOOLS[format].parse(ToolOutput(text, ""), request())


@given(mean=st.floats(1.0, 9e9), count=st.integers(2, 10_000))
def test_every_printed_average_comes_back(mean: float, count: int) -> None:
    printed = f"{mean:.6g}"
    text = f"INFO: count=1 curr=5\nINFO: count={count} first=1 curr=1 min=1 max=2 avg={printed} std=3\n"
    summary = TOOLS[Format.TFLITE].parse(ToolOutput(text, ""), request(runs=count)).summary
    assert summary is not None
    assert summary.mean_ns == pytest.approx(float(printed) * 1e3)
