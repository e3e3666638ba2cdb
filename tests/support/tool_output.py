"""Requests to the runtimes' tools, and what the tools printed when they were recorded (``tests/data/tools``)."""

from __future__ import annotations

from pathlib import Path

from edgevit.spec import TensorSpec
from export.recipe import Format
from runtimes.runners.process import Finished
from runtimes.runners.runner import Measured, Subject
from runtimes.runners.tools import TOOLS
from runtimes.runners.workload import Workload

DATA = Path(__file__).resolve().parents[1] / "data" / "tools"
IMAGE = TensorSpec(name="image", shape=(1, 3, 224, 224))


SUBJECT = Subject(
    name="m.tflite", path=Path("m.tflite"), format=Format.TFLITE, sha256="a" * 64, size_bytes=1, inputs=(IMAGE,),
    outputs=(TensorSpec(name="y", shape=(1, 2)), TensorSpec(name="z", shape=(1, 3))), feeds=(),
)  # fmt: skip


def work(**asked: object) -> Workload:
    """50 runs after 10 for warm-up, where ``asked`` does not say otherwise."""
    return Workload(**{"warmup": 10, "runs": 50, **asked})  # type: ignore[arg-type]


def printed(text: str, *, err: str = "", log: str = "", files: dict[str, bytes] | None = None) -> Finished:
    """A process that ended well and printed ``text``."""
    return Finished(0, text, err, log, files or {})


def parse(format: Format, name: str, wanted: Workload, files: dict[str, bytes] | None = None) -> Measured:
    """Read the recorded output ``name``."""
    return TOOLS[format].parse(printed((DATA / name).read_text(), files=files), wanted)


def latencies_ns(measured: Measured) -> list[int]:
    """Of the timed runs."""
    return [sample.latency_ns for sample in measured.samples]
