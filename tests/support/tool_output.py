"""Requests to the runtimes' tools, and what the tools printed when they were recorded (``tests/data/tools``)."""

from __future__ import annotations

from pathlib import Path

from edgevit.spec import TensorSpec
from export.recipe import Format
from runtimes.runners.process import Finished
from runtimes.runners.runner import Measured
from runtimes.runners.tools import TOOLS
from runtimes.runners.tools.adapter import ToolRequest
from runtimes.runners.workload import Workload

DATA = Path(__file__).resolve().parents[1] / "data" / "tools"
IMAGE = TensorSpec(name="image", shape=(1, 3, 224, 224))


def request(*, output_count: int = 1, **workload: object) -> ToolRequest:
    """50 runs after 10 for warm-up, where ``workload`` does not say otherwise."""
    made = Workload(**{"warmup": 10, "runs": 50, **workload})  # type: ignore[arg-type]
    return ToolRequest(
        model="m.tflite", inputs=(IMAGE,), input_files=("in.bin",), output="base", output_count=output_count,
        workload=made,
    )  # fmt: skip


def printed(text: str, *, err: str = "", log: str = "", files: dict[str, bytes] | None = None) -> Finished:
    """A process that ended well and printed ``text``."""
    return Finished(0, text, err, log, files or {})


def parse(format: Format, name: str, wanted: ToolRequest, files: dict[str, bytes] | None = None) -> Measured:
    """Read the recorded output ``name``."""
    return TOOLS[format].parse(printed((DATA / name).read_text(), files=files), wanted)


def latencies_ns(measured: Measured) -> list[int]:
    """Of the timed runs."""
    return [sample.latency_ns for sample in measured.samples]
