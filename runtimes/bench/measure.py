"""One device from start to end: look at it, choose runners, plan, lock, arrange, measure, bring back."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError, EdgevitExportError, UsageError
from edgevit.records import Record
from runtimes.bench.execute import Bench, Judge, Watcher, new_record
from runtimes.bench.plan import Plan
from runtimes.bench.planning import Job, make_plan
from runtimes.bench.record import DeviceRun, RunFailure
from runtimes.conditions.hygiene import (
    affinity_mask,
    fix_performance_mode,
    stay_awake,
    verify_pinning,
    wait_for_temperature,
)
from runtimes.conditions.lease import DeviceSession
from runtimes.conditions.state import DeviceState, read_state
from runtimes.devices.device import Device
from runtimes.runners.choose import RunnerChooser, survey
from runtimes.runners.runner import RunSettings, Subject

LEASE_MARGIN_S = 600.0
EXTEND_PERIOD_S = 120.0  # well within the margin


class BenchRequest(Record):
    """What the user asked for, the same for every device.

    ``affinity`` as typed (``big``, ``little``, cores or a mask); ``max_temp_c`` the highest temperature to start at,
    waited for up to ``cooldown_s``; ``runner`` and ``tools_dir`` as in ``RunnerChooser``; ``python`` the interpreter
    on the device, None for ``python3`` and on this host the one that runs this.
    """

    runs: int = 50
    rounds: int = 5
    warmup: int = 10
    gap_ms: float = 0.0
    threads: tuple[int, ...] = (1,)
    affinity: str | None = None
    max_temp_c: float | None = None
    cooldown_s: float = 300.0
    fixed_performance: bool = False
    runner: str = "auto"
    python: str | None = None
    tools_dir: str | None = None
    timeout_s: float = 600.0
    resume: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one device: its plan, its records (failed ones included), and what stopped all of it."""

    serial: str
    plan: Plan | None = None
    runs: tuple[DeviceRun, ...] = ()
    error: EdgevitExportError | None = None


@dataclass
class Measurement:
    """Measures subjects on one device.

    Attributes:
        device: The device.
        subjects: What to measure.
        request: How.
        output: Directory of the records.
        judge: Says whether outputs are right.
        watcher: Is told what happens.
        stop: True when the user wants to end.
    """

    device: Device
    subjects: Sequence[Subject]
    request: BenchRequest
    output: Path
    judge: Judge
    watcher: Watcher
    stop: Callable[[], bool] = lambda: False
    _refused: list[DeviceRun] = field(default_factory=list)
    _mask: int | None = None
    _extended_s: float = field(default_factory=time.monotonic)

    def run(self, *, dry_run: bool = False) -> Outcome:
        """Measure, or with ``dry_run`` only look and plan: nothing is pushed, started or changed.

        Raises:
            EdgevitExportError: The whole device cannot be measured; single artifacts fail in their records.
        """
        state = read_state(self.device)
        settings = self._settings(state)
        jobs = self._jobs(state, settings)
        with tempfile.TemporaryDirectory(prefix="edgevit-bench-") as staging:
            bench = Bench(self.device, jobs, settings, self.output, self.judge, self.watcher, stop=self.stop)
            done = bench.resume() if self.request.resume else {}
            directory = f"{self.device.scratch_dir()}/bench"
            plan = make_plan(self.device.serial, directory, jobs, settings, Path(staging), done)
            error = None if dry_run else self._execute(bench, plan, jobs)
        runs = () if dry_run else (*bench.records, *self._refused)
        return Outcome(serial=self.device.serial, plan=plan, runs=runs, error=error)

    def _settings(self, state: DeviceState) -> RunSettings:
        asked = self.request
        if asked.affinity is not None:
            self._mask = affinity_mask(state, asked.affinity)
        return RunSettings(
            runs=asked.runs,
            rounds=asked.rounds,
            warmup=asked.warmup,
            gap_ms=asked.gap_ms,
            affinity=None if self._mask is None else f"{self._mask:x}",
            timeout_s=asked.timeout_s,
        )

    def _jobs(self, state: DeviceState, settings: RunSettings) -> list[Job]:
        """The jobs that can be done; the others become failed records."""
        tools_dir = Path(self.request.tools_dir) if self.request.tools_dir else None
        setup = survey(self.device, state, python=self.request.python, tools_dir=tools_dir)
        android = state.android_version is not None
        chooser = RunnerChooser(setup, settings, self.request.runner, tools_dir, android=android)
        jobs = []
        for subject in self.subjects:
            try:
                runner = chooser.choose(subject.format)
            except UsageError:
                raise
            except EdgevitExportError as error:
                self._refused += [self._refusal(subject, threads, settings, error) for threads in self.request.threads]
                continue
            jobs += [Job(subject, runner, threads) for threads in self.request.threads]
        return jobs

    def _refusal(self, subject: Subject, threads: int, settings: RunSettings, error: EdgevitExportError) -> DeviceRun:
        failure = RunFailure(message=error.message, hint=error.hint)
        self.watcher.failed(subject.name, failure)
        return new_record(self.device.serial, subject, "none", threads, settings, failure)

    def _execute(self, bench: Bench, plan: Plan, jobs: Sequence[Job]) -> EdgevitExportError | None:
        """Measure; what goes wrong once there are results is returned beside them."""
        try:
            if plan.runs:
                self._execute_locked(bench, plan, jobs)
        except EdgevitExportError as error:
            if not any(record.rounds or record.failure for record in bench.records):
                raise
            return error
        return None

    def _execute_locked(self, bench: Bench, plan: Plan, jobs: Sequence[Job]) -> None:
        lease_s = self.request.timeout_s + self.request.cooldown_s + LEASE_MARGIN_S
        with DeviceSession(self.device, lease_s=lease_s, report=self.watcher.note) as session:
            self._keep_awake(session)
            if self.request.fixed_performance:
                fix_performance_mode(session)
            if self._mask is not None and any(job.runner.name != "python" for job in jobs):
                verify_pinning(self.device, self._mask)
            bench.before_run = lambda: self._prepare(session, lease_s)
            bench.execute(plan)

    def _keep_awake(self, session: DeviceSession) -> None:
        """Best effort: a device that suspends all the same is found out by its clocks."""
        try:
            stay_awake(session)
        except (DeviceLostError, DeviceTimeoutError):
            raise
        except DeviceError as error:
            self.watcher.note(f"cannot be kept awake: {error.message}")

    def _prepare(self, session: DeviceSession, lease_s: float) -> None:
        if time.monotonic() - self._extended_s > EXTEND_PERIOD_S:
            session.extend(lease_s)
            self._extended_s = time.monotonic()
        limit_c = self.request.max_temp_c
        if limit_c is None:
            return
        wait = wait_for_temperature(self.device, limit_c, timeout_s=self.request.cooldown_s)
        if not wait.reached:
            raise DeviceError(
                f"{self.device.serial} is still at {wait.sensor.value_c:.1f} °C ({wait.sensor.name}) after "
                f"{wait.waited_s:.0f} s, above {limit_c:g} °C",
                hint="wait longer with --cooldown, or start warmer with --max-temp",
            )
