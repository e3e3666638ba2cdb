"""PyTorch's ``speed_benchmark_torch``: what it refuses, and its recorded output."""

from __future__ import annotations

import pytest
from tool_output import SUBJECT, latencies_ns, parse, work

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.runners.tools import TOOLS


def test_reads_every_run_and_exponents() -> None:
    result = parse(Format.PTL, "speed_benchmark_torch.txt", work(runs=3))
    assert latencies_ns(result) == [599_746_000, 1_234_570_000, 584_558_000]


def test_without_runs_is_an_error() -> None:
    with pytest.raises(DeviceError, match="nan"):
        parse(Format.PTL, "speed_benchmark_torch_no_runs.txt", work(runs=3))


def test_needs_a_mask_for_threads() -> None:
    tool = TOOLS[Format.PTL]
    assert "no option for threads; give --affinity exactly 2 cores, e.g. --affinity 0,1" in (
        tool.refusal(SUBJECT, work(threads=2)) or ""
    )
    assert tool.refusal(SUBJECT, work(threads=2, affinity="c0")) is None
    assert "pause" in (tool.refusal(SUBJECT, work(gap_ms=5.0, affinity="1")) or "")
