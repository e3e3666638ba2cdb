"""Measuring with a runtime's own tool: the binary and raw inputs travel, raw outputs come back where it can dump."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from edgevit.errors import DeviceError, UsageError
from edgevit.spec import TensorSpec
from runtimes.runners.exits import exit_error
from runtimes.runners.process import PID_FILE, Finished, PlannedPush, PlannedRun, plan_push, runner_file
from runtimes.runners.runner import Feed, Measured, Subject
from runtimes.runners.tools.adapter import ToolAdapter
from runtimes.runners.workload import Workload


class ToolRunner:
    """Runs an artifact with one of ``runtimes.runners.tools``; see ``Runner``.

    Args:
        adapter: The tool's adapter.
        binary: The program here; shared libraries beside it (``*.so*``) travel with it.
        android: Whether the device has Android's log, where some tools write instead of to their standard output.
        built_for: The program's ABI, where it is known to be the device's.
    """

    stamps = False

    def __init__(self, adapter: ToolAdapter, binary: Path, *, android: bool, built_for: str | None = None) -> None:
        self.name = adapter.name
        self.unverified = None if adapter.dumps_outputs else f"{adapter.name} cannot hand out the model's outputs"
        self._adapter = adapter
        self._binary = binary
        self._built_for = built_for
        self._log_tag = adapter.log_tag if android else None

    def pushes(self, subject: Subject, staging: Path, directory: str) -> list[PlannedPush]:
        """The artifact, the first feed as raw values, the program and its libraries."""
        home = posixpath.join(directory, f"tool-{self.name}")
        planned = [
            plan_push(subject.path, posixpath.join(directory, subject.remote_name)),
            *self._own_pushes(home),
        ]
        if self._adapter.inputs == "golden":
            for tensor, file in zip(subject.inputs, subject.input_files, strict=True):
                local = staging / file
                local.write_bytes(np.ascontiguousarray(subject.feeds[0][tensor.name]).tobytes())
                planned.append(plan_push(local, posixpath.join(directory, file)))
        return planned

    def _own_pushes(self, home: str) -> list[PlannedPush]:
        libraries = sorted(path for path in self._binary.parent.glob("*.so*") if path.is_file())
        return [
            plan_push(self._binary, posixpath.join(home, self.name), program=True),
            *(plan_push(library, posixpath.join(home, library.name)) for library in libraries),
        ]

    def plan_run(
        self, subject: Subject, staging: Path, directory: str, *, key: str, round: int, workload: Workload
    ) -> tuple[list[PlannedPush], PlannedRun]:
        """The tool's command line, behind ``taskset`` when cores were asked for."""
        if reason := self._adapter.refusal(subject, workload):
            raise UsageError(f"{self.name} cannot do that for {subject.name}: {reason}")
        command = self._adapter.command(subject, workload)
        home = posixpath.join(directory, f"tool-{self.name}")
        pinned = ("taskset", workload.affinity) if workload.affinity else ()
        planned = PlannedRun(
            key=key,
            round=round,
            workload=workload,
            program=self.name,
            argv=(*pinned, posixpath.join(home, self.name), *command.arguments),
            cwd=directory,
            environment={name: value.format(directory=home) for name, value in command.environment.items()},
            clear=(*command.files, *command.outputs, *([PID_FILE] if self._log_tag else [])),
            fetch=command.files,
            outputs=command.outputs,
            log_tag=self._log_tag,
            files=tuple(runner_file(push) for push in self._own_pushes(home)),
        )
        return [], planned

    def read(self, subject: Subject, planned: PlannedRun, finished: Finished, origin: str) -> Measured:
        """What the adapter finds; its complaint names the subject."""
        if finished.rc != 0:
            raise exit_error(origin, self.name, finished.rc, finished.printed, built_for=self._built_for)
        try:
            measured = self._adapter.parse(finished, planned.workload)
        except DeviceError as error:
            raise DeviceError(f"{origin}: {error.message}", hint=error.hint) from error
        return msgspec.structs.replace(measured, files=planned.files)

    def answers(self, subject: Subject, planned: PlannedRun, files: Mapping[str, bytes]) -> list[Feed]:
        """The raw little-endian bytes cut into the outputs, shaped as the artifact declares them, for the one feed."""
        raw = b"".join(files[name] for name in planned.outputs)
        expected = sum(_size_bytes(spec) for spec in subject.outputs)
        if len(raw) != expected:
            raise DeviceError(
                f"{subject.name}: {self.name} gave outputs of {len(raw)} bytes, but the artifact declares "
                f"{expected}: {', '.join(f'{spec.name} {spec.shape} {spec.dtype}' for spec in subject.outputs)}"
            )
        answer: Feed = {}
        for spec in subject.outputs:
            size = _size_bytes(spec)
            answer[spec.name] = np.frombuffer(raw[:size], np.dtype(spec.dtype)).reshape(spec.shape)
            raw = raw[size:]
        return [answer]


def _size_bytes(spec: TensorSpec) -> int:
    return math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
