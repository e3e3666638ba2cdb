"""Execute a plan on one device: push, run in rounds, measure the power, fetch, judge, and keep what is finished.

A failure stays with what it belongs to: an artifact that fails leaves the others running, a device that is lost is
called back once, and every round that was finished is on the disk before the next one starts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from threading import Lock
from typing import Protocol

from edgevit.errors import DeviceError, EdgevitExportError, MeterError
from edgevit.records import sha256_file
from runtimes.bench.held import HeldDevice
from runtimes.bench.layout import MeteredLayout, lay_out_for
from runtimes.bench.metered import MeteredRunner, longest_s
from runtimes.bench.patience import Patience
from runtimes.bench.plan import Job, Plan
from runtimes.bench.process import fetch, push_file, run_process
from runtimes.bench.record import EnergyRun, Round, RunFailure, Verification, now_utc
from runtimes.bench.request import MeterRequest
from runtimes.bench.store import RecordStore
from runtimes.conditions.state import DeviceState, read_state
from runtimes.devices.device import Device
from runtimes.power.meter import PowerMeter
from runtimes.runners.exits import BY_HAND_HINT
from runtimes.runners.process import Finished, PlannedPush, PlannedRun
from runtimes.runners.runner import Feed, Measured, Subject
from runtimes.runners.workload import Workload

Judge = Callable[[Subject, list[Feed], str], Verification]
"""``judge(subject, answers, runtime)``: whether the answers to ``subject.feeds`` (or the first ones) are right."""

FRESH_STATE_S = 1.0  # chosen, because temperatures and clocks of a moment ago are those of the next round's start
TURN_POLL_S = 5.0  # chosen, because an interrupt is to end the wait for a shared meter soon
UNKNOWN_START_S = 20.0  # chosen for records that do not say how long their processes took


class Watcher(Protocol):
    """Called as the measuring goes on, to show progress; an implementation may ignore any of the calls."""

    def pushing(self, item: PlannedPush, done_bytes: int) -> None:
        """So much of a file has been sent, from 0 on; never called for what the device has already."""

    def round_started(self, planned: PlannedRun, number: int, total: int) -> None:
        """Run ``number`` of ``total`` is about to start."""

    def round_ended(self, planned: PlannedRun, finished: Round) -> None:
        """It has ended well, with outputs that are right or wrong."""

    def failed(self, key: str, failure: RunFailure) -> None:
        """The artifact or its energy could not be measured."""

    def note(self, text: str) -> None:
        """Anything else that is worth a line."""


@dataclass(frozen=True)
class Metering:
    """The power meter of a run, what was asked of it, and ``turn``: devices that share a meter use it in turns."""

    meter: PowerMeter
    asked: MeterRequest
    turn: Lock


class PlanExecution:
    """The execution of one device's plan.

    Args:
        device: The device; its lock is held and its state arranged by the caller.
        jobs: What to measure.
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
        store: RecordStore,
        judge: Judge,
        watcher: Watcher,
        *,
        metering: Metering | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._device = device
        self._jobs = {job.key: job for job in jobs}
        self._store = store
        self._judge = judge
        self._watcher = watcher
        self._metering = metering
        self._stop = stop
        self._patience = Patience(device, watcher.note)
        self._metered: list[PlannedRun] = []
        self._meter_lost: MeterError | None = None
        self._state: DeviceState | None = None
        self._state_at_s = float("-inf")

    def run(self, plan: Plan, staging: Path, held: HeldDevice) -> None:
        """Do what ``plan`` says; the store then has one record per job, failed ones included.

        Args:
            plan: The plan.
            staging: The directory of files that were made up for it.
            held: The lock on the device, and the conditions of each run.

        Raises:
            KeyboardInterrupt: Passed on, with all finished rounds on the disk and nothing left running.
        """
        try:
            self._push_all(plan, held)
            for number, planned in enumerate(plan.runs, start=1):
                if self._stop():
                    break
                if self._store[planned.key].failure is None:
                    self._watcher.round_started(planned, number, len(plan.runs))
                    self._attempt(planned, held)
            if self._metering is not None:
                for job in self._store.open_jobs:
                    if not self._stop() and self._store[job.key].energy_failure is None:
                        self._attempt_energy(job, self._metering, plan.scratch, staging, held)
        finally:
            self._remove_what_is_left(plan)

    def _remove_what_is_left(self, plan: Plan) -> None:
        runs = (*plan.runs, *self._metered)
        left = {f"{each.cwd}/{name}" for each in runs for name in (*each.clear, *each.brought)}
        failed = (each for each in plan.runs if self._store[each.key].failure is not None)
        left -= {f"{each.cwd}/{name}" for each in failed for name in each.brought}
        if left and self._patience.lost is None:
            with suppress(DeviceError):
                self._device.run(["rm", "-f", *sorted(left)])

    def _push_all(self, plan: Plan, held: HeldDevice) -> None:
        for item in plan.pushes:
            if self._stop() or all(self._store[key].failure for key in item.keys):
                continue
            try:
                held.renew()  # many artifacts over a slow cable take longer than the lease
                self._patience.do(partial(self._push, item))
            except EdgevitExportError as error:
                for key in item.keys:
                    self._fail(key, error, None)

    def _push(self, item: PlannedPush) -> None:
        push_file(self._device, item, lambda _, done_bytes, __: self._watcher.pushing(item, done_bytes))

    def _attempt(self, planned: PlannedRun, held: HeldDevice) -> None:
        try:
            finished = self._patience.do(lambda: self._round(planned, held))
        except EdgevitExportError as error:
            self._fail(planned.key, error, planned.round)
            return
        self._store.add_round(planned.key, finished)
        self._watcher.round_ended(planned, finished)

    def _fail(self, key: str, error: EdgevitExportError, round: int | None) -> None:
        """The artifact has failed; where all its rounds are there from an earlier bench, only its energy has."""
        has_latencies = len(self._store[key].rounds) == len(self._jobs[key].rounds)
        failure = self._store.fail_energy(key, error) if has_latencies else self._store.fail(key, error, round)
        self._watcher.failed(key, failure)

    def _round(self, planned: PlannedRun, held: HeldDevice) -> Round:
        held.before_run()
        before, started_utc, began_s = self._start_state(), now_utc(), time.monotonic()
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
                hint=BY_HAND_HINT,
            )
        if digest is not None and hashlib.sha256(files[planned.outputs[0]]).hexdigest() != digest:
            raise DeviceError(f"{origin}: the outputs were changed on their way: their SHA-256 is not the runner's")
        return self._judge(job.subject, job.runner.answers(job.subject, planned, files), measured.runtime)

    def _attempt_energy(self, job: Job, metering: Metering, scratch: str, staging: Path, held: HeldDevice) -> None:
        """A process of its own behind the latencies: its gaps and bursts are the meter's."""
        try:
            if lost := self._patience.lost or self._meter_lost:
                raise lost
            latency_s, start_s = timing_of(self._store[job.key].rounds, job.workload)
            layout = lay_out_for(job.runner, metering.meter, job.workload, metering.asked, latency_s=latency_s)
            planned = self._place(job, layout, scratch, staging)
            if not self._await_turn(metering.turn, held):
                return
            try:
                held.before_run(longest_s(layout, start_s))
                energy = self._measure_energy(job, metering, planned, layout, start_s)
            finally:
                metering.turn.release()
        except EdgevitExportError as error:
            self._watcher.failed(job.key, self._store.fail_energy(job.key, error))
        else:
            self._store.add_energy(job.key, energy)

    def _await_turn(self, turn: Lock, held: HeldDevice) -> bool:
        """Take the meter; False when the user ended the bench meanwhile. The wait for others may outlast the lease."""
        while not turn.acquire(timeout=TURN_POLL_S):
            held.renew()
            if self._stop():
                return False
        if self._stop():
            turn.release()
            return False
        return True

    def _measure_energy(
        self, job: Job, metering: Metering, planned: PlannedRun, layout: MeteredLayout, start_s: float
    ) -> EnergyRun:
        meter = metering.meter
        before, started_utc, began_s = self._start_state(), now_utc(), time.monotonic()
        self._watcher.note(
            f"{job.subject.name}: energy, {layout.in_words()}" + ("; USB is cut meanwhile" if meter.cuts_usb else "")
        )
        try:
            with meter:
                meter.prepare()
                metered = MeteredRunner(self._device, meter, self._watcher.note)
                done = metered.run(planned, layout, idles=job.runner.stamps, start_s=start_s)
        except MeterError as error:
            self._meter_lost = error
            raise
        run = self._finished_round(planned, done.finished, before, started_utc, time.monotonic() - began_s)
        trace_path = self._store.keep_trace(job.key, done.trace)
        return EnergyRun(
            meter=meter.name,
            period_s=meter.resolution.period_s,
            layout=layout,
            run=run,
            trace_file=trace_path.name,
            trace_sha256=sha256_file(trace_path),
            device_to_trace_s=done.device_to_trace_s(run.measured),
            top1_percent=metering.asked.top1_of(job.subject.name),
        )

    def _place(self, job: Job, layout: MeteredLayout, scratch: str, staging: Path) -> PlannedRun:
        """What only this process needs is brought to the device; the rest is there since the rounds."""
        pushes, planned = job.runner.plan_run(
            job.subject, staging, scratch, key=job.key, round=len(job.rounds), workload=layout.workload
        )
        for item in pushes:
            self._patience.do(partial(self._push, item))
        self._metered.append(planned)
        return planned

    def _read_state(self) -> DeviceState:
        """The state behind a process: read anew, since a process may be shorter than a state is fresh."""
        self._state = read_state(self._device)
        self._state_at_s = time.monotonic()
        return self._state

    def _start_state(self) -> DeviceState:
        """The state before a process; the one of a moment ago will do."""
        is_fresh = time.monotonic() - self._state_at_s <= FRESH_STATE_S
        return self._state if self._state is not None and is_fresh else self._read_state()


def timing_of(rounds: Sequence[Round], workload: Workload) -> tuple[float, float]:
    """Seconds that one inference takes, and seconds that a process takes besides its inferences and their gaps.

    Args:
        rounds: What was measured.
        workload: How, without what only a power meter asks for.

    Raises:
        DeviceError: No round told a latency.
    """
    latencies_ns = [float(sample.latency_ns) for each in rounds for sample in each.measured.samples]
    latencies_ns += [each.measured.summary.mean_ns for each in rounds if each.measured.summary is not None]
    if not latencies_ns:
        raise DeviceError("its rounds told no latency, so its energy cannot be planned")
    latency_s, gap_s = median(latencies_ns) / 1e9, (workload.gap_ms or 0.0) / 1e3
    starts_s = [0.0]
    for each in rounds:
        measured = each.measured
        count = measured.summary.count if measured.summary is not None else len(measured.samples)
        busy_s = count * (latency_s + gap_s) + len(measured.warmup) * latency_s
        starts_s.append(UNKNOWN_START_S if each.seconds is None else each.seconds - busy_s)
    return latency_s, max(starts_s)
