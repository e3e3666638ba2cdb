"""LiteRT's ``benchmark_model`` (CompiledModel): same file name and flags as TFLite's, other words."""

from __future__ import annotations

import re

from runtimes.runners.process import Finished
from runtimes.runners.runner import Measured, Summary
from runtimes.runners.tools.adapter import (
    MIB,
    MS,
    NUMBER,
    ToolRequest,
    check_count,
    find_number,
    measured_by,
    unreadable,
)

BANNER = "BENCHMARK RESULTS"


def recognises(text: str) -> bool:
    """Whether ``text`` was printed by this tool and not by TFLite's of the same name."""
    return BANNER in text


def parse(finished: Finished, request: ToolRequest) -> Measured:
    """Read the block after the banner. All times are ms, the deviation too, although it has no unit."""
    tool, text = "LiteRT benchmark_model", finished.printed.rpartition(BANNER)[2]
    average = re.search(rf"Inference \(avg\):\s*({NUMBER}) ms \((\d+) runs\)", text)
    if average is None:
        raise unreadable(tool, "no 'Inference (avg): ... ms (... runs)' after the banner", finished)
    check_count(tool, int(average[2]), request, finished)
    return measured_by(
        tool,
        summary=Summary(
            count=int(average[2]),
            mean_ns=float(average[1]) * MS,
            sd_ns=find_number(r"Inference \(std\):", text, MS),
            min_ns=find_number(r"Inference \(min\):", text, MS),
            max_ns=find_number(r"Inference \(max\):", text, MS),
        ),
        load_ns=find_number("Model initialization:", text, MS),
        first_ns=find_number(r"Warmup \(first\):", text, MS),
        peak_memory_bytes=find_number("Peak memory:", text, MIB),
    )
