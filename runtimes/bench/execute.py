"""Execute a plan on one device: push, run in rounds, measure the power, fetch, judge, and keep what is finished.

A failure stays with what it belongs to: an artifact that fails leaves the others running, a device that is lost is
called back once, and every round that was finished is on the disk before the next one starts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Protocol

from edgevit.errors import DeviceError, EdgevitExportError, MeterError, UsageError
from edgevit.records import sha256_file
from runtimes.bench.layout import MeteredLayout, lay_out
from runtimes.bench.metered import MeteredRunner
from runtimes.bench.patience import Patience
from runtimes.bench.plan import Job, Plan
from runtimes.bench.process import fetch, push_file, run_process
from runtimes.bench.record import EnergyRun, Round, RunFailure, Verification, now_utc
from runtimes.bench.request import BenchRequest
from runtimes.bench.store import RecordStore
from runtimes.conditions.state import DeviceState, read_state
from runtimes.devices.device import Device, Progress
from runtimes.power.meter import PowerMeter
from runtimes.runners.process import Finished, PlannedPush, PlannedRun
from runtimes.runners.runner import Feed, Measured, Subject

Judge = Callable[[Subject, list[Feed], str], Verification]
"""``judge(subject, answers, runtime)``: whether the answers to ``subject.feeds`` (or the first ones) are right."""

FRESH_STATE_S = 1.0
UNKNOWN_START_S = 20.0  # chosen for records that do not say how long their processes took


class Watcher(Protocol):
    """Called as the measuring goes on, to show progress; an implementation may ignore any of the calls."""

    def push(self, item: PlannedPush) -> Progress | None:
        """A file is about to be pushed; what is returned gets the bytes."""
        ...

    def round_started(self, planned: PlannedRun, number: int, total: int) -> None: ...

    def round_ended(self, planned: PlannedRun, finished: Round) -> None: ...

    def failed(self, key: str, failure: RunFailure) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class Metering:
    """The power meter of a run, and ``turn``: one at a time where several devices share the meter."""

    meter: PowerMeter
    turn: AbstractContextManager[object] = field(default_factory=nullcontext)


class Bench:
    """The measuring of one device.

    Args:
        device: The device; its lock is held and its state arranged by the caller.
        jobs: What to measure.
        request: How.
        store: The records of the jobs, which may hold rounds already.
        judge: Says whether outputs are right.
        watcher: Shows progress.
        metering: The power meter, if there is one.
        stop: True when the user wants to end: no further run is started.
    """

    def __init__(
        self,
        device: Device,
        jobs: Sequence[Job],
        request: BenchRequest,
        store: RecordStore,
        judge: Judge,
        watcher: Watcher,
        *,
        metering: Metering | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._device = device
        self._jobs = {job.key: job for job in jobs}
        self._request = request
        self._store = store
        self._judge = judge
        self._watcher = watcher
        self._metering = metering
        self._stop = stop
        self._patience = Patience(device, watcher.note)
        self._meter_lost: MeterError | None = None
        self._state: DeviceState | None = None
        self._state_at_s = float("-inf")

    def execute(self, plan: Plan, staging: Path, before_run: Callable[[float], None]) -> None:
        """Do what ``plan`` says; the store then has one record per job, failed ones included.

        Args:
            plan: The plan.
            staging: The directory of files that were made up for it.
            before_run: Called before each run with the seconds that it is expected to take beyond its time limit; it
                arranges the conditions of the run, and raises where they cannot be had.

        Raises:
            KeyboardInterrupt: Passed on, with all finished rounds on the disk and nothing left running.
        """
        try:
            self._push_all(plan)
            for number, planned in enumerate(plan.runs, start=1):
                if self._stop():
                    break
                if self._store[planned.key].failure is None:
                    self._watcher.round_started(planned, number, len(plan.runs))
                    self._attempt(planned, before_run)
            if self._metering is not None:
                for job in self._store.open_jobs:
                    if not self._stop():
                        self._attempt_energy(job, self._metering, plan.scratch, staging, before_run)
        finally:
            with suppress(DeviceError):
                if self._patience.lost is None:
                    self._remove({name for planned in plan.runs for name in planned.clear}, plan.scratch)

    def _push_all(self, plan: Plan) -> None:
        for item in plan.pushes:
            if self._stop() or all(self._store[key].failure for key in item.keys):
                continue
            try:
                self._patience.do(partial(self._push, item))
            except EdgevitExportError as error:
                for key in item.keys:
                    self._fail(key, error, None)

    def _push(self, item: PlannedPush) -> None:
        push_file(self._device, item, self._watcher.push(item))

    def _attempt(self, planned: PlannedRun, before_run: Callable[[float], None]) -> None:
        try:
            finished = self._patience.do(lambda: self._round(planned, before_run))
        except EdgevitExportError as error:
            self._fail(planned.key, error, planned.round)
            return
        self._store.add_round(planned.key, finished)
        self._watcher.round_ended(planned, finished)

    def _fail(self, key: str, error: EdgevitExportError, round: int | None) -> None:
        self._watcher.failed(key, self._store.fail(key, error, round))

    def _round(self, planned: PlannedRun, before_run: Callable[[float], None]) -> Round:
        before_run(0.0)
        before, started_utc, began_s = self._read_state(), now_utc(), time.monotonic()
        finished = run_process(self._device, planned)
        return self._finished_round(planned, finished, before, started_utc, time.monotonic() - began_s)

    def _finished_round(
        self, planned: PlannedRun, finished: Finished, before: DeviceState, started_utc: str, seconds: float
    ) -> Round:
        job = self._jobs[planned.key]
        measured = job.runner.read(job.subject, planned, finished, self._store.origin(planned.key))
        after = self._read_state()
        return Round(
            index=planned.round,
            started_utc=started_utc,
            measured=measured,
            verification=self._verify(job, planned, measured),
            before=before,
            after=after,
            seconds=seconds,
        )

    def _verify(self, job: Job, planned: PlannedRun, measured: Measured) -> Verification:
        """Judge the outputs; those that equal an earlier round's in every bit have its verdict."""
        if job.runner.unverified is not None:
            return Verification(status="not verified", reason=job.runner.unverified)
        digest = measured.outputs_sha256
        for earlier in self._store[planned.key].rounds:
            if digest is not None and earlier.measured.outputs_sha256 == digest:
                return earlier.verification
        files = fetch(self._device, planned, planned.outputs)
        origin = self._store.origin(planned.key)
        if missing := [name for name in planned.outputs if name not in files]:
            raise DeviceError(
                f"{origin}: the run ended well but left no outputs ({', '.join(missing)})",
                hint="edgevit-export bench --dry-run prints the command, to be tried by hand",
            )
        if digest is not None and hashlib.sha256(files[planned.outputs[0]]).hexdigest() != digest:
            raise DeviceError(f"{origin}: the outputs were changed on their way: their SHA-256 is not the runner's")
        return self._judge(job.subject, job.runner.answers(job.subject, planned, files), measured.runtime)

    def _attempt_energy(
        self, job: Job, metering: Metering, scratch: str, staging: Path, before_run: Callable[[float], None]
    ) -> None:
        """A process of its own behind the latencies: its gaps and bursts are the meter's."""
        try:
            if lost := self._patience.lost or self._meter_lost:
                raise lost
            latency_s, start_s = timing_of(self._store[job.key].rounds)
            assert self._request.meter is not None
            layout = lay_out(metering.meter, job.workload, self._request.meter, latency_s=latency_s)
            if not job.runner.stamps:
                _refuse_tool(job.runner.name, metering.meter.name, layout)
            planned = self._place(job, layout, scratch, staging)
            with metering.turn:
                before_run(layout.expected_s + start_s)
                energy = self._measure_energy(job, metering.meter, planned, layout, start_s)
        except EdgevitExportError as error:
            self._watcher.failed(job.key, self._store.fail_energy(job.key, error))
        else:
            self._store.add_energy(job.key, energy)

    def _measure_energy(
        self, job: Job, meter: PowerMeter, planned: PlannedRun, layout: MeteredLayout, start_s: float
    ) -> EnergyRun:
        before, started_utc, began_s = self._read_state(), now_utc(), time.monotonic()
        self._watcher.note(
            f"{job.subject.name}: energy, {job.workload.runs} bursts of {layout.workload.burst}, "
            f"{layout.workload.gap_ms:.0f} ms apart, {layout.expected_s:.0f} s"
            + ("; USB is cut meanwhile" if meter.cuts_usb else "")
        )
        metered = MeteredRunner(self._device, meter, self._watcher.note)
        meter.prepare()
        try:
            done = metered.run(planned, layout, idles=job.runner.stamps, start_s=start_s)
        except MeterError as error:
            self._meter_lost = error
            raise
        finally:
            meter.close()
        run = self._finished_round(planned, done.finished, before, started_utc, time.monotonic() - began_s)
        trace_path = self._store.path(job.key).with_suffix(".energy.npz")
        done.trace.save(trace_path)
        return EnergyRun(
            meter=meter.name,
            period_s=meter.resolution.period_s,
            layout=layout,
            run=run,
            trace_file=trace_path.name,
            trace_sha256=sha256_file(trace_path),
            device_to_trace_s=done.device_to_trace_s(run.measured),
        )

    def _place(self, job: Job, layout: MeteredLayout, scratch: str, staging: Path) -> PlannedRun:
        """What only this process needs is brought to the device; the rest is there since the rounds."""
        pushes, planned = job.runner.plan_run(
            job.subject, staging, scratch, key=job.key, round=len(job.rounds), workload=layout.workload
        )
        for item in pushes:
            self._patience.do(partial(self._push, item))
        return planned

    def _read_state(self) -> DeviceState:
        """The state now; the one of a moment ago will do."""
        if self._state is None or time.monotonic() - self._state_at_s > FRESH_STATE_S:
            self._state = read_state(self._device)
            self._state_at_s = time.monotonic()
        return self._state

    def _remove(self, names: Iterable[str], directory: str) -> None:
        if paths := [f"{directory}/{name}" for name in names]:
            self._device.run(["rm", "-f", *paths])


def timing_of(rounds: Sequence[Round]) -> tuple[float, float]:
    """Seconds that one inference takes, and seconds that a process takes besides its inferences.

    Raises:
        DeviceError: No round told a latency.
    """
    latencies_ns = [sample.latency_ns for each in rounds for sample in each.measured.samples]
    latencies_ns += [int(each.measured.summary.mean_ns) for each in rounds if each.measured.summary is not None]
    if not latencies_ns:
        raise DeviceError("its rounds told no latency, so its energy cannot be planned")
    latency_s = median(latencies_ns) / 1e9
    starts_s = [
        each.seconds - latency_s * (len(each.measured.samples) + len(each.measured.warmup))
        for each in rounds
        if each.seconds is not None
    ]
    return latency_s, max([0.0, *starts_s]) if starts_s else UNKNOWN_START_S


def _refuse_tool(runner: str, meter: str, layout: MeteredLayout) -> None:
    """Tools run one inference after each gap and tell no times: only single inferences can be told apart."""
    if layout.workload.burst != 1 or layout.whole_run:
        raise UsageError(
            f"{meter} needs bursts of {layout.workload.burst} inferences here, and {runner} cannot make them",
            hint="--runner python, or a finer meter",
        )
