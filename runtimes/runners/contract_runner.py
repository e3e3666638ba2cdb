"""What all runners share that speak the contract: the request, the lines that come back, the arrays behind them."""

from __future__ import annotations

import hashlib
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edgevit.arrays import indexed, parse_arrays
from edgevit.errors import DeviceError
from edgevit.text import printable
from runtimes.runners.array_sets import write_sets
from runtimes.runners.contract import RunRequest
from runtimes.runners.exits import BY_HAND_HINT, exit_error
from runtimes.runners.lines import parse_lines
from runtimes.runners.process import Finished, PlannedPush, PlannedRun, RunnerFile, plan_push
from runtimes.runners.runner import Feed, Measured, Subject
from runtimes.runners.schedule import scheduled
from runtimes.runners.workload import Workload


class ContractRunner(ABC):
    """A runner that takes a ``RunRequest`` and leaves lines and an outputs file; see ``Runner``.

    Attributes:
        name: Of the runner, in records.
    """

    name: str
    unverified: str | None = None
    stamps = True
    _built_for: str | None = None  # the ABI of a program that was chosen by the device's

    @property
    @abstractmethod
    def _program(self) -> str:
        """What is run, as messages call it."""

    @abstractmethod
    def _argv(self, subject: Subject, directory: str, request: str) -> tuple[str, ...]:
        """The command line in ``directory`` that executes the file ``request``."""

    @abstractmethod
    def _environment(self, subject: Subject, directory: str) -> dict[str, str]:
        """What is added to the environment."""

    @abstractmethod
    def _own_pushes(self, subject: Subject, staging: Path, directory: str) -> list[PlannedPush]:
        """The runner itself."""

    @abstractmethod
    def _files(self, subject: Subject, staging: Path, directory: str) -> tuple[RunnerFile, ...]:
        """What records keep of the runner itself."""

    def _request(self, subject: Subject, workload: Workload) -> RunRequest:
        """What is asked for."""
        short = subject.short_sha256
        return RunRequest(
            format=subject.format,
            model=subject.remote_name,
            inputs=f"{short}.inputs.npz",
            lines=f"{short}.lines.jsonl",
            outputs=f"{short}.outputs.npz",
            takes=subject.inputs,
            gives=subject.outputs,
            workload=scheduled(workload),
        )

    def pushes(self, subject: Subject, staging: Path, directory: str) -> list[PlannedPush]:
        """The artifact, its inputs, and the runner for its format."""
        inputs = staging / f"{subject.short_sha256}.inputs.npz"
        if not inputs.exists():
            write_sets(inputs, list(subject.feeds))
        return [
            plan_push(subject.path, posixpath.join(directory, subject.remote_name)),
            plan_push(inputs, posixpath.join(directory, inputs.name)),
            *self._own_pushes(subject, staging, directory),
        ]

    def plan_run(
        self, subject: Subject, staging: Path, directory: str, *, key: str, round: int, workload: Workload
    ) -> tuple[list[PlannedPush], PlannedRun]:
        """The request is a file of its own: nothing on the command line but two file names."""
        request = self._request(subject, workload)
        text = request.to_json()
        local = staging / f"request-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        local.write_text(text, encoding="utf-8")
        assert request.outputs is not None
        planned = PlannedRun(
            key=key,
            round=round,
            workload=workload,
            program=self._program,
            argv=self._argv(subject, directory, local.name),
            cwd=directory,
            environment=self._environment(subject, directory),
            clear=(request.lines, request.outputs),
            brought=(local.name,),
            fetch=(request.lines,),
            outputs=(request.outputs,),
            files=self._files(subject, staging, directory),
        )
        return [plan_push(local, posixpath.join(directory, local.name))], planned

    def read(self, subject: Subject, planned: PlannedRun, finished: Finished, origin: str) -> Measured:
        """The lines, checked to the end; the runner's own account of a failure before its exit code."""
        data = finished.files.get(planned.fetch[0])
        if data is not None:
            measured = parse_lines(data, self._request(subject, planned.workload), origin=origin)
        if finished.rc != 0:
            raise exit_error(origin, planned.program, finished.rc, finished.printed, built_for=self._built_for)
        if data is None:
            raise DeviceError(
                f"{origin}: the runner exited with code 0 but left no results and so no end marker",
                hint=BY_HAND_HINT,
            )
        return msgspec.structs.replace(measured, files=planned.files)

    def answers(self, subject: Subject, planned: PlannedRun, files: Mapping[str, bytes]) -> list[Feed]:
        """The arrays of the outputs file, one dict for each feed; what they hold is not larger than the file."""
        data = files[planned.outputs[0]]
        origin = f"the outputs of {subject.name} that came back cannot be read"
        arrays = parse_arrays(data, origin=origin, limit_bytes=len(data), failure=DeviceError)
        sets: list[Feed] = [{} for _ in subject.feeds]
        for key, array in arrays.items():
            place = indexed(key)
            if place is None or place[0] >= len(sets):
                raise DeviceError(f"{origin}: '{printable(key[:80])}' is of none of {len(sets)} inputs")
            if array.dtype.kind == "U":
                raise DeviceError(f"{origin}: '{printable(key[:80])}' holds text")
            sets[place[0]][place[1]] = array
        if empty := [index for index, outputs in enumerate(sets) if not outputs]:
            raise DeviceError(f"{subject.name}: expected outputs for {len(sets)} inputs, got none for {empty[0]}")
        return sets
