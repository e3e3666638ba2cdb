"""From what is to be measured to the plan: every push once, every run in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runtimes.bench.plan import Plan, PlannedPush, PlannedRun, interleave, split_runs
from runtimes.bench.record import record_key
from runtimes.runners.runner import Runner, RunSettings, Subject


@dataclass(frozen=True)
class Job:
    """One artifact with one runner and one thread count."""

    subject: Subject
    runner: Runner
    threads: int

    @property
    def key(self) -> str:
        """Its name in the plan; also the name of its record."""
        return record_key(self.subject, self.runner.name, self.threads)


def make_plan(
    device: str,
    directory: str,
    jobs: Sequence[Job],
    settings: RunSettings,
    staging: Path,
    rounds_done: Mapping[str, int] | None = None,
) -> Plan:
    """Plan all jobs of one device.

    Args:
        device: Its serial.
        directory: This program's directory there.
        jobs: What to measure.
        settings: How.
        staging: A directory here for files that are made up for the device; must live until the plan is executed.
        rounds_done: Rounds that a record holds already, by key: these are left out.

    Raises:
        UsageError: A runner cannot do what the settings ask for.
    """
    done = rounds_done or {}
    parts = split_runs(settings.runs, settings.rounds)
    by_key = {job.key: job for job in jobs}
    open_keys = [key for key in by_key if done.get(key, 0) < len(parts)]
    pushes = [
        msgspec.structs.replace(push, keys=(key,))
        for key in open_keys
        for push in by_key[key].runner.pushes(by_key[key].subject, staging, directory)
    ]
    runs: list[PlannedRun] = []
    for index, key in interleave(open_keys, len(parts)):
        if index < done.get(key, 0):
            continue
        job = by_key[key]
        own, run = job.runner.plan_run(
            job.subject, staging, directory, key=key, round=index, runs=parts[index], threads=job.threads
        )
        pushes += [msgspec.structs.replace(push, keys=(key,)) for push in own]
        runs.append(run)
    return Plan(device=device, scratch=directory, pushes=_merged(pushes), runs=tuple(runs))


def _merged(pushes: Sequence[PlannedPush]) -> tuple[PlannedPush, ...]:
    """Each remote file once, with the keys of all that need it."""
    merged: dict[str, PlannedPush] = {}
    for push in pushes:
        known = merged.get(push.remote)
        keys = dict.fromkeys([*(known.keys if known else ()), *push.keys])
        merged[push.remote] = msgspec.structs.replace(known or push, keys=tuple(keys))
    return tuple(merged.values())
