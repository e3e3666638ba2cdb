"""ExecuTorch's ``executor_runner``: iterations on its output or in Android's log."""

from __future__ import annotations

import pytest
from tool_output import DATA, SUBJECT, latencies_ns, parse, printed, work

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.runners.tools import TOOLS


def test_drops_the_first_iterations() -> None:
    result = parse(Format.PTE, "executor_runner_1.5.txt", work(runs=2, warmup=1))
    assert latencies_ns(result) == [10_250_000, 9_900_000]
    assert (result.load_ns, result.first_ns) == (12_345_678, 9_876_543)


def test_on_android_is_read_from_the_log() -> None:
    log = (DATA / "executor_runner_logcat.txt").read_text()
    result = TOOLS[Format.PTE].parse(printed("", log=log), work(runs=2, warmup=1))
    assert latencies_ns(result) == [10_250_000, 9_900_000]


def test_notices_dropped_log_lines() -> None:
    log = (DATA / "executor_runner_logcat.txt").read_text().replace("Iteration 2 of 3", "")
    with pytest.raises(DeviceError, match="expected iterations 1 to 3, got 2"):
        TOOLS[Format.PTE].parse(printed("", log=log), work(runs=2, warmup=1))


def test_old_executor_runner_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"use 1\.4 or newer"):
        parse(Format.PTE, "executor_runner_0.4.txt", work(runs=2, warmup=1))


def test_command() -> None:
    command = TOOLS[Format.PTE].command(SUBJECT, work(threads=4))
    assert "--num_executions=60" in command.arguments
    assert "--inputs=aaaaaaaaaaaaaaaa.input0.bin" in command.arguments
    assert command.outputs == ("aaaaaaaaaaaaaaaa.output-0.bin", "aaaaaaaaaaaaaaaa.output-1.bin")
