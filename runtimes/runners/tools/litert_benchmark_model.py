"""LiteRT's ``benchmark_model`` (CompiledModel): same file name and flags as TFLite's, other words."""

from __future__ import annotations

import re

from runtimes.runners.runner import Summary
from runtimes.runners.tools.adapter import (
    NUMBER,
    ToolOutput,
    ToolRequest,
    ToolResult,
    check_count,
    find_number,
    unreadable,
)

MS = 1e6
BANNER = "BENCHMARK RESULTS"


def recognises(text: str) -> bool:
    """Whether ``text`` was printed by this tool and not by TFLite's of the same name."""
    return BANNER in text


def parse(output: ToolOutput, request: ToolRequest) -> ToolResult:
    """Read the block after the banner. All times are ms, the deviation too, although it has no unit."""
    tool, text = "LiteRT benchmark_model", output.text.rpartition(BANNER)[2]
    average = re.search(rf"Inference \(avg\):\s*({NUMBER}) ms \((\d+) runs\)", text)
    if average is None:
        raise unreadable(tool, "no 'Inference (avg): ... ms (... runs)' after the banner", output)
    check_count(tool, int(average[2]), request, output)
    load_ms = find_number("Model initialization:", text)
    first_ms = find_number(r"Warmup \(first\):", text)
    peak_mb = find_number("Peak memory:", text)
    return ToolResult(
        tool=tool,
        summary=Summary(
            count=int(average[2]),
            mean_ns=float(average[1]) * MS,
            sd_ns=_ns(find_number(r"Inference \(std\):", text)),
            min_ns=_ns(find_number(r"Inference \(min\):", text)),
            max_ns=_ns(find_number(r"Inference \(max\):", text)),
        ),
        load_ns=None if load_ms is None else round(load_ms * MS),
        first_ns=None if first_ms is None else round(first_ms * MS),
        peak_memory_bytes=None if peak_mb is None else round(peak_mb * 1024 * 1024),
    )


def _ns(value_ms: float | None) -> float | None:
    return None if value_ms is None else value_ms * MS
