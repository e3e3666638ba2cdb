"""What a benchmark will do on a device, as data. The plan that ``--dry-run`` prints is the one that is executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from edgevit.errors import UsageError
from edgevit.records import Record
from edgevit.shell import quoted
from runtimes.bench.record import record_key
from runtimes.runners.process import PlannedPush, PlannedRun
from runtimes.runners.runner import Runner, Subject
from runtimes.runners.workload import Workload


@dataclass(frozen=True)
class Job:
    """One artifact with one runner and one workload."""

    subject: Subject
    runner: Runner
    workload: Workload

    @property
    def key(self) -> str:
        """Its name in the plan; also the name of its record."""
        return record_key(self.subject, self.runner.name, self.workload)

    @property
    def rounds(self) -> tuple[Workload, ...]:
        """The workload of each round: without what only a power meter asks for."""
        asked = self.workload.of_rounds
        return tuple(msgspec.structs.replace(asked, runs=runs) for runs in split_runs(asked.runs, asked.rounds))


class Plan(Record):
    """All pushes, then all runs in order: each round takes every artifact once, starting one further each time.

    ``energy`` says how each artifact would be laid out for the power meter, where there is one, ``conditions`` what is
    done beside, in words.
    """

    schema_version: Literal[2] = 2
    device: str
    scratch: str
    pushes: tuple[PlannedPush, ...]
    runs: tuple[PlannedRun, ...]
    energy: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The plan for a person to read."""
        pushed = [f"push {quoted(p.local)} -> {quoted(p.remote)} ({p.size_bytes} bytes)" for p in self.pushes]
        ran = [f"run  round {item.round + 1}, {item.key}: {item.command()}" for item in self.runs]
        return [f"device {self.device}, working in {self.scratch}", *self.conditions, *pushed, *ran, *self.energy]


def make_plan(
    device: str,
    directory: str,
    jobs: Sequence[Job],
    staging: Path,
    rounds_done: Mapping[str, int] | None = None,
) -> tuple[Plan, dict[str, UsageError]]:
    """Plan all jobs of one device.

    Args:
        device: Its serial.
        directory: This program's directory there.
        jobs: What to measure.
        staging: A directory here for files that are made up for the device; must live until the plan is executed.
        rounds_done: Rounds that a record holds already, by key: these are left out.

    Returns:
        The plan, and by key the jobs that are not in it, because their runner cannot do what they ask for.
    """
    planned: dict[str, list[PlannedRun]] = {}
    refused: dict[str, UsageError] = {}
    pushes: list[PlannedPush] = []
    for job in jobs:
        try:
            own, planned[job.key] = _plan_job(job, staging, directory, (rounds_done or {}).get(job.key, 0))
        except UsageError as error:
            refused[job.key] = error
        else:
            pushes += own
    keys = [job.key for job in jobs if job.key in planned]
    by_round = {(run.round, run.key): run for runs in planned.values() for run in runs}
    rounds = max((run.round + 1 for run in by_round.values()), default=0)
    runs = tuple(by_round[place] for place in interleave(keys, rounds) if place in by_round)
    return Plan(device=device, scratch=directory, pushes=_merged(pushes), runs=runs), refused


def _plan_job(job: Job, staging: Path, directory: str, done: int) -> tuple[list[PlannedPush], list[PlannedRun]]:
    asked = job.workload
    if asked.affinity is not None and (cores := int(asked.affinity, 16).bit_count()) < asked.threads:
        raise UsageError(
            f"{job.subject.name}: {asked.threads} threads on {cores} core{'s' if cores > 1 else ''} (mask "
            f"{asked.affinity}) would measure how they wait for each other",
            hint="--affinity with as many cores, or fewer --threads",
        )
    pushes, runs = job.runner.pushes(job.subject, staging, directory), []
    for index, workload in enumerate(job.rounds):
        if index >= done:
            own, run = job.runner.plan_run(
                job.subject, staging, directory, key=job.key, round=index, workload=workload
            )  # fmt: skip
            pushes += own
            runs.append(run)
    return [msgspec.structs.replace(push, keys=(job.key,)) for push in pushes], runs


def _merged(pushes: Sequence[PlannedPush]) -> tuple[PlannedPush, ...]:
    """Each remote file once, with the keys of all that need it."""
    merged: dict[str, PlannedPush] = {}
    for push in pushes:
        known = merged.get(push.remote)
        keys = dict.fromkeys([*(known.keys if known else ()), *push.keys])
        merged[push.remote] = msgspec.structs.replace(known or push, keys=tuple(keys))
    return tuple(merged.values())


def interleave(keys: list[str], rounds: int) -> list[tuple[int, str]]:
    """(round, key) in the order of execution: heat and drift then favour nobody."""
    return [(index, keys[(index + place) % len(keys)]) for index in range(rounds) for place in range(len(keys))]


def split_runs(runs: int, rounds: int) -> list[int]:
    """``runs`` in ``rounds`` parts that differ by at most one; fewer parts when there are fewer runs."""
    parts = max(1, min(rounds, runs))
    return [runs // parts + (1 if index < runs % parts else 0) for index in range(parts)]
