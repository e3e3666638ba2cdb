"""Measuring with the Python runner: what travels, and how it is started."""

from __future__ import annotations

import posixpath
from pathlib import Path

from runtimes.runners.contract_runner import ContractRunner
from runtimes.runners.process import PlannedPush, RunnerFile, plan_push, runner_file
from runtimes.runners.python.bundle import build_runner
from runtimes.runners.runner import Subject


class PythonRunner(ContractRunner):
    """Runs the sessions of ``runtimes/`` with the device's own python3; see ``Runner``.

    Args:
        python: The interpreter, as the device knows it.
    """

    name = "python"

    def __init__(self, python: str) -> None:
        self._python = python

    @property
    def _program(self) -> str:
        return self._python

    def _argv(self, subject: Subject, directory: str, request: str) -> tuple[str, ...]:
        return (self._python, f"runner-{subject.format}.pyz", request)

    def _environment(self, subject: Subject, directory: str) -> dict[str, str]:
        return {"PYTHONDONTWRITEBYTECODE": "1"}

    def _own_pushes(self, subject: Subject, staging: Path, directory: str) -> list[PlannedPush]:
        runner = staging / f"runner-{subject.format}.pyz"
        if not runner.exists():
            runner.write_bytes(build_runner(subject.format))
        return [plan_push(runner, posixpath.join(directory, runner.name))]

    def _files(self, subject: Subject, staging: Path, directory: str) -> tuple[RunnerFile, ...]:
        return tuple(runner_file(push) for push in self._own_pushes(subject, staging, directory))
