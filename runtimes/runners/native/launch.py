"""Measuring with the native runner: its program and its runtime's library travel, no Python is needed there."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runtimes.runners.contract import RunRequest
from runtimes.runners.contract_runner import ContractRunner
from runtimes.runners.native.runtimes_table import GLIBC, NativeRow
from runtimes.runners.native.store import Found, StoredLibrary, StoredProgram
from runtimes.runners.process import Finished, PlannedPush, PlannedRun, RunnerFile, runner_file
from runtimes.runners.runner import Measured, Subject
from runtimes.runners.workload import Workload

NATIVE = "native"
NATIVE_GLIBC = "native-glibc"
_HOME = "native"  # below this program's directory on the device


@dataclass(frozen=True)
class NativeFiles:
    """What runs one format on devices of one ABI.

    Attributes:
        row: The format's runtime.
        program: The program.
        library: The runtime's library, and what it needs beside it.
        glibc: The loader and libraries of glibc, for devices that have none; None where the device's own are used.
    """

    row: NativeRow
    program: Found[StoredProgram]
    library: Found[StoredLibrary]
    glibc: Found[StoredLibrary] | None = None


class NativeRunner(ContractRunner):
    """Runs artifacts with the program of ``runtimes/runners/native/source``; see ``Runner``.

    Args:
        files: What travels.
    """

    def __init__(self, files: NativeFiles) -> None:
        self.name = NATIVE_GLIBC if files.glibc else NATIVE
        self._native = files
        self._built_for = files.program.record.abi

    @property
    def _program(self) -> str:
        return posixpath.join(_HOME, self._native.program.record.name)

    def read(self, subject: Subject, planned: PlannedRun, finished: Finished, origin: str) -> Measured:
        """As any runner of the contract; records tell apart what brought its own glibc."""
        measured = super().read(subject, planned, finished, origin)
        return msgspec.structs.replace(measured, runner=measured.runner.replace(NATIVE, self.name, 1))

    def _request(self, subject: Subject, workload: Workload) -> RunRequest:
        library = self._native.library.record
        return msgspec.structs.replace(
            super()._request(subject, workload),
            library=posixpath.join(self._folder(library.runtime), library.main.name),
            runtime=self._native.row.measured(library.version),
        )

    def _argv(self, subject: Subject, directory: str, request: str) -> tuple[str, ...]:
        if self._native.glibc is None:
            return (self._program, request)
        loader = posixpath.join(self._folder(GLIBC), self._native.glibc.record.main.name)
        path = ":".join(self._folder(name) for name in (GLIBC, self._native.row.runtime))
        return (loader, "--library-path", path, self._program, request)

    def _environment(self, subject: Subject, directory: str) -> dict[str, str]:
        if self._native.glibc is not None:
            return {}  # the device's own programs must not meet another libc
        return {"LD_LIBRARY_PATH": posixpath.join(directory, self._folder(self._native.row.runtime))}

    def _own_pushes(self, subject: Subject, staging: Path, directory: str) -> list[PlannedPush]:
        program, glibc = self._native.program, self._native.glibc
        return [
            *_pushes(program, posixpath.join(directory, _HOME), program.record.name),
            *_pushes(self._native.library, posixpath.join(directory, self._folder(self._native.row.runtime))),
            *(_pushes(glibc, posixpath.join(directory, self._folder(GLIBC)), glibc.record.main.name) if glibc else ()),
        ]

    def _files(self, subject: Subject, staging: Path, directory: str) -> tuple[RunnerFile, ...]:
        versions = {
            file.name: library.record.version
            for library in (self._native.library, self._native.glibc)
            if library is not None
            for file in library.record.files
        }
        pushes = self._own_pushes(subject, staging, directory)
        return tuple(runner_file(push, versions.get(posixpath.basename(push.remote))) for push in pushes)

    @staticmethod
    def _folder(runtime: str) -> str:
        return posixpath.join(_HOME, runtime)


def _pushes(
    found: Found[StoredProgram] | Found[StoredLibrary], folder: str, program: str | None = None
) -> list[PlannedPush]:
    """The files of a stored entry, whose hashes were checked as it was read; ``program`` is to be executable."""
    return [
        PlannedPush(
            local=str(path),
            remote=posixpath.join(folder, file.name),
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            program=file.name == program,
        )
        for path, file in zip(found.paths, found.record.files, strict=True)
    ]
