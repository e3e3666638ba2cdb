"""Small subjects and runners that misbehave, for tests of the measuring flow."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgevit.records import sha256_file
from edgevit.spec import TensorSpec
from export.recipe import Format
from runtimes.bench.execute import Judge
from runtimes.bench.measure import DeviceOutcome, Measurement
from runtimes.bench.record import Round, RunFailure, Verification
from runtimes.bench.request import BenchRequest
from runtimes.devices.device import Device
from runtimes.runners.process import PlannedPush, PlannedRun
from runtimes.runners.runner import Feed, Subject
from runtimes.runners.workload import Workload

# What a tool's stand-in computes from the file $in to the file $out; see ``WEIGHT``.
COMPUTE = f"""{sys.executable} - "$in" "$out" <<'END'
import sys, numpy
weight = numpy.random.default_rng(0).normal(size=(4, 3)).astype(numpy.float32)
(numpy.fromfile(sys.argv[1], numpy.float32).reshape(1, 4) @ weight).tofile(sys.argv[2])
END
"""

WEIGHT = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
INPUT, OUTPUT = TensorSpec(name="x", shape=(1, 4)), TensorSpec(name="y", shape=(1, 3))


def onnx_subject(path: Path, *, scale: float = 1.0) -> Subject:
    """``y = x @ (scale * WEIGHT)`` in ONNX, with two feeds."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, INPUT.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, OUTPUT.shape)],
        [numpy_helper.from_array(scale * WEIGHT, "w")],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return subject(path, Format.ONNX)


def subject(path: Path, format: Format) -> Subject:
    """Any file as a subject that takes ``x`` and gives ``y``."""
    generator = np.random.default_rng(1)
    feeds: tuple[Feed, ...] = tuple({"x": generator.normal(size=INPUT.shape).astype(np.float32)} for _ in range(2))
    return Subject(
        name=path.name,
        path=path,
        format=format,
        sha256=sha256_file(path),
        size_bytes=path.stat().st_size,
        inputs=(INPUT,),
        outputs=(OUTPUT,),
        feeds=feeds,
    )


def tflite_subject(directory: Path) -> Subject:
    """For tools that stand in for the real one, which do not read the file."""
    (directory / "tiny.tflite").write_bytes(b"not read by the stand-in")
    return subject(directory / "tiny.tflite", Format.TFLITE)


def judge(subject: Subject, answers: list[Feed], runtime: str) -> Verification:
    """Passes what is ``x @ WEIGHT``."""
    assert answers
    pairs = zip(subject.feeds, answers, strict=False)
    right = all(
        answer["y"].shape == OUTPUT.shape and np.allclose(answer["y"], feed["x"] @ WEIGHT, atol=1e-5)
        for feed, answer in pairs
    )
    return Verification(status="passed" if right else "failed", reason="" if right else "y is wrong")


def misbehaving_python(path: Path, script: str) -> str:
    """A python that works, but runs ``script`` (sh; ``$LINES`` is the results file) instead of a run with 2 threads."""
    path.write_text(
        f"""#!/bin/sh
case "$1" in *.pyz)
  if grep -q '"threads": 2' "$2"; then
    LINES=$(sed -n 's/.*"lines": "\\(.*\\)".*/\\1/p' "$2")
    {script}
  fi ;;
esac
exec {sys.executable} "$@"
"""
    )
    path.chmod(0o755)
    return str(path)


def program(path: Path, script: str) -> Path:
    """A shell script that is a tool."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return path


def elf(path: Path, machine: int) -> Path:
    """A program for ``machine`` (``e_machine``) by its ELF header, with nothing behind it."""
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine) + bytes(100))
    path.chmod(0o755)
    return path


def processes_of(directory: Path) -> list[str]:
    """What still runs with ``directory`` on its command line or as its working directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in words or str((entry / "cwd").readlink()).startswith(str(directory)):
                found.append(words)
        except OSError:
            continue
    return found


class Events:
    """A watcher that remembers; ``on_round`` is called with each run that starts."""

    def __init__(self, on_round: Callable[[PlannedRun], None] = lambda _: None) -> None:
        self.started: list[str] = []
        self.failures: dict[str, RunFailure] = {}
        self.notes: list[str] = []
        self.pushed: list[str] = []
        self._on_round = on_round

    def pushing(self, item: PlannedPush, done_bytes: int) -> None:
        if not done_bytes:
            self.pushed.append(item.remote)

    def round_started(self, planned: PlannedRun, number: int, total: int) -> None:
        self.started.append(f"{planned.round} {planned.key.rpartition('-python')[0]}{planned.key[-3:]}")
        self._on_round(planned)

    def round_ended(self, planned: PlannedRun, finished: Round) -> None:
        pass

    def failed(self, key: str, failure: RunFailure) -> None:
        self.failures[key] = failure

    def note(self, text: str) -> None:
        self.notes.append(text)


def measure(
    device: Device, subjects: list[Subject], output: Path, *, events: Events | None = None, dry_run: bool = False,
    judge: Judge = judge, **asked: object,
) -> DeviceOutcome:  # fmt: skip
    """Measure with fields of ``Workload`` and of ``BenchRequest``; four quick runs in two rounds where not asked."""
    of_workload = set(Workload.__struct_fields__) - {"threads"}
    work = {"runs": 4, "rounds": 2, "warmup": 1, "timeout_s": 60.0}
    work |= {name: asked.pop(name) for name in list(asked) if name in of_workload}
    wanted = BenchRequest(**{"workload": Workload(**work), "python": sys.executable, **asked})  # type: ignore[arg-type]
    return Measurement(device, subjects, wanted, output, judge, events or Events()).run(dry_run=dry_run)
