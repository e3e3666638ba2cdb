"""One process on a device as data: what must be there, what is started, what it leaves behind."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from edgevit.records import Record, sha256_file
from edgevit.shell import command_line
from runtimes.runners.workload import Workload

PID_FILE = "bench.pid"  # where a run with a ``log_tag`` notes its process, by which the log is searched


class PlannedPush(Record):
    """A file that the device needs; skipped when it has it already. ``keys`` names the runs that need it."""

    step: Literal["push"] = "push"
    local: str
    remote: str
    sha256: str
    size_bytes: int
    program: bool = False
    keys: tuple[str, ...] = ()


class RunnerFile(Record):
    """One of the files that a runner consists of: its program, or its runtime's library.

    ``name`` is what it is called on the device, ``version`` that of the runtime, where it is a library of one.
    """

    name: str
    sha256: str
    size_bytes: int
    version: str | None = None


class PlannedRun(Record):
    """One process on the device: one artifact, one workload, one round. ``workload.runs`` is this process's share.

    ``program`` is what messages call it: ``argv`` may begin with what starts it, a loader or ``taskset``.
    ``clear`` is removed before and when the bench ends, ``fetch`` must exist afterwards and comes back together with
    ``outputs`` (the model's outputs). ``brought`` was pushed for this run alone, and is removed when the bench ends;
    not where the run failed, so that its command can be tried by hand. Paths are relative to ``cwd``, except those of
    ``argv`` that the runner made absolute. ``files`` are what the runner brings along, as they were pushed and verified
    there.
    """

    step: Literal["run"] = "run"
    key: str
    round: int
    workload: Workload
    program: str
    argv: tuple[str, ...]
    cwd: str
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    clear: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    fetch: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    log_tag: str | None = None
    files: tuple[RunnerFile, ...] = ()

    def command(self) -> str:
        """The shell line that does the same by hand."""
        environment = "".join(f"{name}={command_line(value)} " for name, value in self.environment.items())
        return f"cd {command_line(self.cwd)} && {environment}{command_line(*self.argv)}"


@dataclass(frozen=True)
class Finished:
    """All that a process left behind when it ended."""

    rc: int
    stdout: str
    stderr: str
    log: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def printed(self) -> str:
        """Both streams and the log."""
        return "\n".join(part for part in (self.stdout, self.stderr, self.log) if part)


def plan_push(local: Path, remote: str, *, program: bool = False) -> PlannedPush:
    """The push of one file, with its hash and size as they are now."""
    return PlannedPush(
        local=str(local), remote=remote, sha256=sha256_file(local), size_bytes=local.stat().st_size, program=program
    )


def runner_file(push: PlannedPush, version: str | None = None) -> RunnerFile:
    """What records keep of a pushed file that a runner consists of."""
    return RunnerFile(
        name=posixpath.basename(push.remote), sha256=push.sha256, size_bytes=push.size_bytes, version=version
    )
