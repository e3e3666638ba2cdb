"""ONNX Runtime's ``onnxruntime_perf_test``: its result file, and how it warms up."""

from __future__ import annotations

import pytest
from tool_output import DATA, SUBJECT, latencies_ns, parse, work

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.runners.tools import TOOLS


@pytest.mark.parametrize("name", ["onnxruntime_perf_test_1.23.txt", "onnxruntime_perf_test_1.10.txt"])
def test_reads_the_result_file_and_drops_the_warm_up(name: str) -> None:
    rows = (DATA / "onnxruntime_perf_test.csv").read_bytes()
    result = parse(Format.ONNX, name, work(runs=3, warmup=3), files={"perf_test.csv": rows})
    assert latencies_ns(result) == [99_508_600, 99_000_000, 100_021_000]
    assert (result.load_ns, result.first_ns) == (217_932_000, 196_000_000)
    assert result.peak_memory_bytes == 271122432


def test_without_rows_is_an_error() -> None:
    with pytest.raises(DeviceError, match="expected 3 timed runs, got 0"):
        parse(Format.ONNX, "onnxruntime_perf_test_1.23.txt", work(runs=3, warmup=1))


def test_command_makes_up_for_its_single_warm_up() -> None:
    command = TOOLS[Format.ONNX].command(SUBJECT, work(runs=50, warmup=10, threads=2))
    arguments = " ".join(command.arguments)
    assert "-m times -r 59" in arguments
    assert "-x 2" in arguments
    assert TOOLS[Format.ONNX].refusal(SUBJECT, work(warmup=0)) is not None
