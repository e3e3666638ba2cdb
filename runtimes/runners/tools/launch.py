"""Measuring with a runtime's own tool: the binary and raw inputs travel, raw outputs come back where it can dump."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgevit.errors import DeviceError, UsageError
from runtimes.runners.exits import exit_error
from runtimes.runners.process import Finished, PlannedPush, PlannedRun, plan_push
from runtimes.runners.runner import Feed, Measured, RunSample, Subject
from runtimes.runners.tools.adapter import ToolAdapter, ToolInput, ToolOutput, ToolRequest
from runtimes.runners.workload import Workload


class ToolRunner:
    """Runs an artifact with one of ``runtimes.runners.tools``; see ``Runner``.

    Args:
        adapter: The tool's adapter.
        binary: The program here; shared libraries beside it (``*.so*``) travel with it.
        log_tag: Tag in Android's log that the tool writes to instead of its standard output; None elsewhere.
    """

    stamps = False

    def __init__(self, adapter: ToolAdapter, binary: Path, log_tag: str | None) -> None:
        self.name = adapter.name
        self.unverified = None if adapter.dumps_outputs else f"{adapter.name} cannot hand out the model's outputs"
        self._adapter = adapter
        self._binary = binary
        self._log_tag = log_tag

    def pushes(self, subject: Subject, staging: Path, directory: str) -> list[PlannedPush]:
        """The artifact, the first feed as raw values, the program and its libraries."""
        home = posixpath.join(directory, f"tool-{self._adapter.name}")
        libraries = sorted(self._binary.parent.glob("*.so*"))
        planned = [
            plan_push(subject.path, posixpath.join(directory, _model(subject))),
            plan_push(self._binary, posixpath.join(home, self._adapter.binary), program=True),
            *(plan_push(library, posixpath.join(home, library.name)) for library in libraries),
        ]
        if self._adapter.inputs == "golden":
            for tensor in self._inputs(subject):
                local = staging / tensor.file
                local.write_bytes(np.ascontiguousarray(subject.feeds[0][tensor.name]).tobytes())
                planned.append(plan_push(local, posixpath.join(directory, tensor.file)))
        return planned

    def plan_run(
        self, subject: Subject, staging: Path, directory: str, *, key: str, round: int, workload: Workload
    ) -> tuple[list[PlannedPush], PlannedRun]:
        """The tool's command line, behind ``taskset`` when cores were asked for."""
        request = self._request(subject, workload)
        if reason := self._adapter.refusal(request):
            raise UsageError(f"{self._adapter.name} cannot do that for {subject.name}: {reason}")
        command = self._adapter.command(request)
        home = posixpath.join(directory, f"tool-{self._adapter.name}")
        pinned = ("taskset", workload.affinity) if workload.affinity else ()
        planned = PlannedRun(
            key=key,
            round=round,
            workload=workload,
            argv=(*pinned, posixpath.join(home, self._adapter.binary), *command.arguments),
            cwd=directory,
            environment={name: value.format(directory=home) for name, value in command.environment.items()},
            clear=(*command.files, *command.outputs),
            fetch=command.files,
            outputs=command.outputs,
            log_tag=self._log_tag,
        )
        return [], planned

    def read(self, subject: Subject, planned: PlannedRun, finished: Finished, origin: str) -> Measured:
        """What the adapter finds; its complaint names the subject."""
        if finished.rc != 0:
            raise exit_error(origin, self._adapter.binary, finished.rc, finished.printed)
        output = ToolOutput(finished.stdout, finished.stderr, finished.log, finished.files)
        try:
            result = self._adapter.parse(output, self._request(subject, planned.workload))
        except DeviceError as error:
            raise DeviceError(f"{origin}: {error.message}", hint=error.hint) from error
        return Measured(
            runner=result.tool,
            runtime=f"{result.tool} (its own build)",
            samples=tuple(RunSample(latency_ns=latency) for latency in result.latencies_ns),
            summary=result.summary,
            load_ns=result.load_ns,
            first_ns=result.first_ns,
            peak_memory_bytes=result.peak_memory_bytes,
        )

    def answers(self, subject: Subject, planned: PlannedRun, files: Mapping[str, bytes]) -> list[Feed]:
        """The raw bytes cut into the outputs that the artifact declares; one feed is all that a tool runs."""
        raw = b"".join(files[name] for name in planned.outputs)
        expected = sum(_size_bytes(spec.shape, spec.dtype) for spec in subject.outputs)
        if len(raw) != expected:
            raise DeviceError(
                f"{subject.name}: {self._adapter.name} gave outputs of {len(raw)} bytes, but the artifact declares "
                f"{expected}: {', '.join(f'{spec.name} {spec.shape} {spec.dtype}' for spec in subject.outputs)}"
            )
        answer: Feed = {}
        for spec in subject.outputs:
            size = _size_bytes(spec.shape, spec.dtype)
            answer[spec.name] = np.frombuffer(raw[:size], np.dtype(spec.dtype)).reshape(spec.shape)
            raw = raw[size:]
        return [answer]

    def _request(self, subject: Subject, workload: Workload) -> ToolRequest:
        return ToolRequest(
            model=_model(subject),
            inputs=self._inputs(subject),
            output=f"{subject.sha256[:16]}.output",
            output_count=len(subject.outputs),
            workload=workload,
        )

    def _inputs(self, subject: Subject) -> tuple[ToolInput, ...]:
        return tuple(
            ToolInput(
                name=spec.name, shape=spec.shape, dtype=spec.dtype, file=f"{subject.sha256[:16]}.input{index}.bin"
            )
            for index, spec in enumerate(subject.inputs)
        )


def _model(subject: Subject) -> str:
    return f"{subject.sha256[:16]}.{subject.format}"


def _size_bytes(shape: tuple[int, ...], dtype: str) -> int:
    size = np.dtype(dtype).itemsize
    for axis in shape:
        size *= axis
    return size
