"""What a benchmark will do on a device, as data. The plan that ``--dry-run`` prints is the one that is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from edgevit.records import Record, sha256_file
from runtimes.devices.device import quote


class PlannedPush(Record):
    """A file that the device needs; skipped when it has it already. ``keys`` names the runs that need it."""

    step: Literal["push"] = "push"
    local: str
    remote: str
    sha256: str
    size_bytes: int
    program: bool = False
    keys: tuple[str, ...] = ()


class PlannedRun(Record):
    """One process on the device: one artifact, one thread count, one round.

    ``clear`` is removed before, ``fetch`` must exist afterwards and comes back together with ``outputs`` (the model's
    outputs). Paths are relative to ``cwd``, except those of ``argv`` that the runner made absolute.
    """

    step: Literal["run"] = "run"
    key: str
    round: int
    runs: int
    threads: int
    argv: tuple[str, ...]
    cwd: str
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    clear: tuple[str, ...] = ()
    fetch: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    log_tag: str | None = None
    timeout_s: float

    def command(self) -> str:
        """The shell line that does the same by hand."""
        environment = "".join(f"{name}={quote([value])} " for name, value in self.environment.items())
        return f"cd {quote([self.cwd])} && {environment}{quote(self.argv)}"


class Plan(Record):
    """All pushes, then all runs in order: each round takes every artifact once, starting one further each time."""

    schema_version: Literal[1] = 1
    device: str
    scratch: str
    pushes: tuple[PlannedPush, ...]
    runs: tuple[PlannedRun, ...]

    def lines(self) -> list[str]:
        """The plan for a person to read."""
        pushed = [f"push {item.local} -> {item.remote} ({item.size_bytes} bytes)" for item in self.pushes]
        ran = [f"run  round {item.round + 1}, {item.key}: {item.command()}" for item in self.runs]
        return [f"device {self.device}, working in {self.scratch}", *pushed, *ran]


def plan_push(local: Path, remote: str, *, program: bool = False) -> PlannedPush:
    """The push of one file, with its hash and size as they are now."""
    return PlannedPush(
        local=str(local), remote=remote, sha256=sha256_file(local), size_bytes=local.stat().st_size, program=program
    )


def interleave(keys: list[str], rounds: int) -> list[tuple[int, str]]:
    """(round, key) in the order of execution: heat and drift then favour nobody."""
    return [(index, keys[(index + place) % len(keys)]) for index in range(rounds) for place in range(len(keys))]


def split_runs(runs: int, rounds: int) -> list[int]:
    """``runs`` in ``rounds`` parts that differ by at most one; fewer parts when there are fewer runs."""
    parts = max(1, min(rounds, runs))
    return [runs // parts + (1 if index < runs % parts else 0) for index in range(parts)]
