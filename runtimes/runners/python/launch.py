"""Measuring with the Python runner: what travels, how it is started, how its lines become measurements."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from pathlib import Path

from edgevit.arrays import indexed, parse_arrays
from edgevit.errors import DeviceError
from edgevit.text import printable
from runtimes.runners.contract import RunRequest
from runtimes.runners.exits import BY_HAND_HINT, exit_error
from runtimes.runners.process import Finished, PlannedPush, PlannedRun, plan_push
from runtimes.runners.python.bundle import build_runner
from runtimes.runners.lines import parse_lines
from runtimes.runners.python.on_device import write_arrays
from runtimes.runners.runner import Feed, Measured, Subject
from runtimes.runners.schedule import scheduled
from runtimes.runners.workload import Workload


class PythonRunner:
    """Runs the sessions of ``runtimes/`` with the device's own python3; see ``Runner``.

    Args:
        python: The interpreter, as the device knows it.
    """

    name = "python"
    unverified: str | None = None
    stamps = True

    def __init__(self, python: str) -> None:
        self._python = python

    def pushes(self, subject: Subject, staging: Path, directory: str) -> list[PlannedPush]:
        """The artifact, its inputs, and the runner for its format."""
        inputs = staging / f"{subject.short_sha256}.inputs.npz"
        if not inputs.exists():
            write_arrays(inputs, list(subject.feeds))
        runner = staging / f"runner-{subject.format}.pyz"
        if not runner.exists():
            runner.write_bytes(build_runner(subject.format))
        return [
            plan_push(subject.path, posixpath.join(directory, subject.remote_name)),
            plan_push(inputs, posixpath.join(directory, inputs.name)),
            plan_push(runner, posixpath.join(directory, runner.name)),
        ]

    def plan_run(
        self, subject: Subject, staging: Path, directory: str, *, key: str, round: int, workload: Workload
    ) -> tuple[list[PlannedPush], PlannedRun]:
        """The request is a file of its own: nothing on the command line but two file names."""
        request = _request(subject, workload)
        text = request.to_json()
        local = staging / f"request-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        local.write_text(text, encoding="utf-8")
        assert request.outputs is not None
        planned = PlannedRun(
            key=key,
            round=round,
            workload=workload,
            argv=(self._python, f"runner-{subject.format}.pyz", local.name),
            cwd=directory,
            environment={"PYTHONDONTWRITEBYTECODE": "1"},
            clear=(request.lines, request.outputs),
            fetch=(request.lines,),
            outputs=(request.outputs,),
        )
        return [plan_push(local, posixpath.join(directory, local.name))], planned

    def read(self, subject: Subject, planned: PlannedRun, finished: Finished, origin: str) -> Measured:
        """The lines, checked to the end; the runner's own account of a failure before its exit code."""
        data = finished.files.get(planned.fetch[0])
        if data is not None:
            measured = parse_lines(data, _request(subject, planned.workload), origin=origin)
        if finished.rc != 0:
            raise exit_error(origin, self._python, finished.rc, finished.printed)
        if data is None:
            raise DeviceError(
                f"{origin}: the runner exited with code 0 but left no results and so no end marker",
                hint=BY_HAND_HINT,
            )
        return measured

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


def _request(subject: Subject, workload: Workload) -> RunRequest:
    short = subject.short_sha256
    return RunRequest(
        format=subject.format,
        model=subject.remote_name,
        inputs=f"{short}.inputs.npz",
        lines=f"{short}.lines.jsonl",
        outputs=f"{short}.outputs.npz",
        workload=scheduled(workload),
    )
