"""LiteRT's ``benchmark_model``, which has the name and the flags of TFLite's."""

from __future__ import annotations

from tool_output import DATA, printed, request

from export.recipe import Format
from runtimes.runners.tools import TOOLS


def test_litert_is_told_apart_by_its_output_on_stderr() -> None:
    text = (DATA / "litert_2.1.txt").read_text()
    result = TOOLS[Format.TFLITE].parse(printed("", err=text), request())
    assert result.runner == "LiteRT benchmark_model"
    assert result.summary is not None
    assert (result.summary.mean_ns, result.summary.sd_ns) == (6.85e6, 0.12e6)
    assert (result.load_ns, result.first_ns) == (12_500_000, 8_750_000)
