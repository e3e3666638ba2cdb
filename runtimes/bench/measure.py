"""One device from start to end: look at it, choose runners, plan, lock, arrange, measure, bring back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import msgspec

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError, EdgevitExportError, UsageError
from export.staging import check_output
from runtimes.bench.execute import Judge, Metering, PlanExecution, Watcher
from runtimes.bench.held import LEASE_MARGIN_S, HeldDevice
from runtimes.bench.layout import require_layout
from runtimes.bench.plan import Job, Plan, make_plan
from runtimes.bench.preview import layout_lines
from runtimes.bench.record import DeviceRun, RunFailure, new_record
from runtimes.bench.request import BenchRequest
from runtimes.bench.store import RecordStore
from runtimes.conditions.affinity import affinity_mask, verify_pinning
from runtimes.conditions.lease import DeviceSession
from runtimes.conditions.prepare import fix_performance_mode, stay_awake
from runtimes.conditions.state import DeviceState, read_state
from runtimes.devices.device import Device
from runtimes.power.meters import open_meter
from runtimes.runners.choose import choose_runner, runner_options
from runtimes.runners.runner import Subject
from runtimes.runners.workload import Workload


@dataclass(frozen=True)
class DeviceOutcome:
    """What became of one device: its plan, its records (failed ones included) and what stopped all of it.

    ``directory`` is where the last records are: another one than asked for where those could not be written there.
    """

    serial: str
    plan: Plan | None = None
    runs: tuple[DeviceRun, ...] = ()
    error: EdgevitExportError | None = None
    directory: Path | None = None


@dataclass
class Measurement:
    """Measures subjects on one device.

    Attributes:
        device: The device.
        subjects: What to measure.
        request: How.
        output: Directory of the records.
        judge: Says whether outputs are right.
        watcher: Shows progress.
        meter_turn: Held while the power meter is in use; shared by the devices that share a meter.
        stop: True when the user wants to end.
    """

    device: Device
    subjects: Sequence[Subject]
    request: BenchRequest
    output: Path
    judge: Judge
    watcher: Watcher
    meter_turn: Lock = field(default_factory=Lock)
    stop: Callable[[], bool] = lambda: False
    _refused: list[DeviceRun] = field(default_factory=list)

    def run(self, *, dry_run: bool = False) -> DeviceOutcome:
        """Measure, or with ``dry_run`` only look and plan: nothing is pushed, started or changed.

        Raises:
            EdgevitExportError: The whole device cannot be measured; single artifacts fail in their records.
        """
        metering = self._meter(dry_run=dry_run)
        state = read_state(self.device)
        asked = self.request.workload
        mask = None if asked.affinity is None else affinity_mask(state, asked.affinity)
        workload = msgspec.structs.replace(asked, affinity=None if mask is None else f"{mask:x}")
        jobs = self._jobs(state, workload)
        store = RecordStore(self.output, self.device.serial, jobs, self.request)
        for problem in store.resume() if self.request.resume else []:
            self.watcher.note(f"not resumed: {problem}")
        with tempfile.TemporaryDirectory(prefix="edgevit-bench-") as staging:
            directory = f"{self.device.scratch_dir()}/bench"
            done = {job.key: len(store[job.key].rounds) for job in jobs}
            plan, refused = make_plan(self.device.serial, directory, store.open_jobs, Path(staging), done)
            if refused and len(refused) == len(jobs):
                raise next(iter(refused.values()))
            if dry_run:
                failed = [self._would_fail(job, refused[job.key]) for job in jobs if job.key in refused]
                if metering is not None:
                    rounds = {job.key: store[job.key].rounds for job in jobs}
                    energy = layout_lines(store.open_jobs, rounds, metering.meter, metering.asked)
                    plan = msgspec.structs.replace(plan, energy=energy)
                return DeviceOutcome(self.device.serial, self._with_conditions(plan), (*failed, *self._refused))
            check_output(store.directory, 0)
            for key, reason in refused.items():
                self.watcher.failed(key, store.fail(key, reason))
            store.keep_completed()
            execution = PlanExecution(
                self.device, jobs, store, self.judge, self.watcher, metering=metering, stop=self.stop
            )
            error = self._execute(execution, plan, store, Path(staging), mask)
        if error is not None and store.moved is not None:
            self.watcher.note(store.moved.message)
        runs = (*store.records, *self._refused)
        return DeviceOutcome(self.device.serial, plan, runs, error or store.moved, store.directory)

    def _would_fail(self, job: Job, reason: UsageError) -> DeviceRun:
        """The record of a job that no plan can do; it is not written."""
        failure = RunFailure(message=reason.message, hint=reason.hint, exit_code=reason.exit_code)
        self.watcher.failed(job.key, failure)
        conditions = self.request.conditions
        return new_record(self.device.serial, job.subject, job.runner.name, job.workload, conditions, failure)

    def _with_conditions(self, plan: Plan) -> Plan:
        """``plan`` with what is done for the conditions that runs start under, in words."""
        asked, words = self.request.conditions, []
        if asked.fixed_performance:
            words.append("fixed performance mode while measuring")
        if asked.max_temp_c is not None:
            words.append(f"before each run: wait for at most {asked.max_temp_c:g} °C, for up to {asked.cooldown_s:g} s")
        return msgspec.structs.replace(plan, conditions=tuple(words))

    def _meter(self, *, dry_run: bool) -> Metering | None:
        """The power meter, if one was asked for, tried before anything is measured; with ``dry_run`` it is not touched.

        Raises:
            EdgevitExportError: No such meter, not found, or not fit for this device or for this workload.
        """
        asked = self.request.meter
        if asked is None:
            return None
        meter = open_meter(asked.name, self.device, asked.options)
        require_layout(meter, self.request.workload, asked)
        if not dry_run:
            with self.meter_turn, meter:
                meter.prepare()
        return Metering(meter, asked, self.meter_turn)

    def _jobs(self, state: DeviceState, workload: Workload) -> list[Job]:
        """The jobs that can be done; the others become failed records."""
        conditions = self.request.conditions
        tools_dir = Path(self.request.tools_dir) if self.request.tools_dir else None
        found = runner_options(
            self.device, state, python=self.request.python, tools_dir=tools_dir,
            formats=[subject.format for subject in self.subjects], wanted=self.request.runner,
        )  # fmt: skip
        android = state.android_version is not None
        workloads = [msgspec.structs.replace(workload, threads=threads) for threads in self.request.threads]
        jobs = []
        for subject in self.subjects:
            try:
                runner = choose_runner(found, self.request.runner, subject.format, tools_dir=tools_dir, android=android)
            except UsageError:
                raise
            except EdgevitExportError as error:
                failure = RunFailure(message=error.message, hint=error.hint)
                for each in workloads:
                    self.watcher.failed(subject.name, failure)
                    self._refused.append(new_record(self.device.serial, subject, "none", each, conditions, failure))
                continue
            jobs += [Job(subject, runner, each) for each in workloads]
        return jobs

    def _execute(
        self, execution: PlanExecution, plan: Plan, store: RecordStore, staging: Path, mask: int | None
    ) -> EdgevitExportError | None:
        """Measure; what goes wrong once there are results is returned beside them."""
        if not store.open_jobs:
            return None
        conditions, limit_s = self.request.conditions, self.request.workload.timeout_s
        lease_s = limit_s + conditions.cooldown_s + LEASE_MARGIN_S
        try:
            with DeviceSession(self.device, lease_s=lease_s, report=self.watcher.note) as session:
                self._arrange(session, store, mask)
                execution.run(plan, staging, HeldDevice(session, conditions, lease_s))
        except EdgevitExportError as error:
            if not any(record.rounds or record.failure for record in store.records):
                raise
            return error
        return None

    def _arrange(self, session: DeviceSession, store: RecordStore, mask: int | None) -> None:
        """What holds for all runs; a device that suspends although it was kept awake is found out by its clocks."""
        try:
            stay_awake(session)
        except (DeviceLostError, DeviceTimeoutError):
            raise
        except DeviceError as error:
            self.watcher.note(f"cannot be kept awake: {error.message}")
        if self.request.conditions.fixed_performance:
            fix_performance_mode(session)
        if mask is not None and any(not job.runner.stamps for job in store.open_jobs):
            verify_pinning(self.device, mask)
