"""Record the power of a run: pilot, detached start, sampling from before to after, USB back, results pulled.

The runner must outlive the USB line, since a Monsoon cuts it while it samples. So everything is on the device before,
a short attached run tells that it works and how long it takes, and the measured run starts by itself a moment after
the line is gone. Whatever happens, the meter is stopped first (which gives the phone its USB back), then the device is
called back, and what still runs on it is ended.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import DeviceError, UsageError
from runtimes.bench.energy_plan import EnergyPlan, EnergySettings, plan_energy
from runtimes.bench.energy_runner import EnergyRunner, stamps_of
from runtimes.bench.plan import PlannedPush, PlannedRun
from runtimes.devices.device import Device, ProcessHandle, in_context
from runtimes.power.meter import PowerMeter
from runtimes.power.stamps import RunStamps
from runtimes.power.trace import PowerTrace
from runtimes.runners.runner import Finished, Measured, Runner, RunSettings, Subject

ARM_S = 2.0
LATE_S = 20.0  # how long a run that is late may take after the sampling has ended
RECONNECT_S = 60.0
PILOT_RUNS = 5
WATCH_S = 0.25
_ARMED = 'sleep "$1"; shift; exec "$@"'

RunnerFor = Callable[[RunSettings, EnergyPlan | None], Runner]
"""Gives the runner for an artifact; with a plan, the one that follows it."""


@dataclass(frozen=True, eq=False)
class EnergyCapture:
    """What came of one run.

    Attributes:
        trace: Power from before to after.
        stamps: When the runner was busy; None for tools that tell no times.
        measured: Latencies of the same run; with gaps in it, not the latency to report.
        plan: How the run was laid out.
        runner: The runner's name.
        device_to_trace_s: Added to a device's monotonic time gives trace time, within some 10 ms; None when the meter
            keeps no host times.
    """

    trace: PowerTrace
    stamps: RunStamps | None
    measured: Measured
    plan: EnergyPlan
    runner: str
    device_to_trace_s: float | None


class Capture:
    """Captures the energy of subjects on one device with one meter.

    Args:
        device: The device; its lock is held and it is kept awake by the caller.
        meter: The meter.
        settings: What the user asked for.
        note: Told of each step.
        sleep: Waits; for tests.
    """

    def __init__(
        self,
        device: Device,
        meter: PowerMeter,
        settings: EnergySettings,
        *,
        note: Callable[[str], None] = lambda text: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._device = device
        self._meter = meter
        self._settings = settings
        self._note = note
        self._sleep = sleep
        self._directory = f"{device.scratch_dir()}/energy"

    def run(self, subject: Subject, runner_for: RunnerFor) -> EnergyCapture:
        """Measure one artifact.

        Raises:
            MeterError: The meter failed, or cannot resolve this run.
            DeviceError: The device failed, or did not come back.
        """
        self._meter.prepare()
        try:
            with tempfile.TemporaryDirectory(prefix="edgevit-energy-") as staging:
                return self._run(subject, runner_for, Path(staging))
        finally:
            self._meter.close()

    def _run(self, subject: Subject, runner_for: RunnerFor, staging: Path) -> EnergyCapture:
        self._note(f"{subject.name}: pilot run")
        began_s = time.monotonic()
        latency_s = self._pilot(subject, runner_for(self._run_settings(None), None), staging)
        pilot_s = time.monotonic() - began_s
        plan = plan_energy(self._meter, self._settings, latency_s=latency_s)
        runner = runner_for(self._run_settings(plan), plan)
        if not isinstance(runner, EnergyRunner):
            _refuse_tool(runner.name, self._meter.name, plan)
        planned = self._place(subject, runner, staging, runs=plan.passes)
        ahead_s = self._host_ahead_s()
        self._note(
            f"{subject.name}: {self._settings.runs} bursts of {plan.burst}, {plan.gap_ms:.0f} ms apart, "
            f"{plan.expected_s:.0f} s" + ("; USB is cut meanwhile" if self._meter.cuts_usb else "")
        )
        arm_s = ARM_S if isinstance(runner, EnergyRunner) else ARM_S + plan.idle_s
        trace, finished = self._record(planned, plan, arm_s, pilot_s)
        measured = runner.read(subject, planned, finished, f"{subject.name} on {self._device.serial}")
        stamps = offset_s = None
        if isinstance(runner, EnergyRunner) and runner.lines is not None:
            stamps = stamps_of(runner.lines, burst=plan.burst)
            clocks = runner.lines.header.clocks
            if ahead_s is not None and len(trace.host_stamps):
                first = trace.host_stamps[0]
                trace_start_s = float(first[1] - first[0] / trace.rate_hz)
                offset_s = (clocks.boottime_ns - clocks.monotonic_ns) / 1e9 + ahead_s - trace_start_s
        return EnergyCapture(trace, stamps, measured, plan, runner.name, offset_s)

    def _run_settings(self, plan: EnergyPlan | None) -> RunSettings:
        asked = self._settings
        return RunSettings(
            runs=plan.passes if plan else PILOT_RUNS,
            rounds=1,
            warmup=asked.warmup if plan else 2,
            gap_ms=plan.gap_ms if plan else 0.0,
            affinity=asked.affinity,
            timeout_s=asked.timeout_s,
        )

    def _pilot(self, subject: Subject, runner: Runner, staging: Path) -> float:
        """One short attached run: the artifact works here, and this is how long an inference takes."""
        planned = self._place(subject, runner, staging, runs=PILOT_RUNS)
        argv = in_context(planned.argv, cwd=planned.cwd, env=planned.environment)
        result = self._device.run(argv, self._settings.timeout_s)
        finished = Finished(result.rc, result.out, result.err, files=self._fetch(planned))
        measured = runner.read(subject, planned, finished, f"{subject.name} on {self._device.serial}")
        if measured.samples:
            ordered = sorted(sample.latency_ns for sample in measured.samples)
            return ordered[len(ordered) // 2] / 1e9
        if measured.summary is not None:
            return measured.summary.mean_ns / 1e9
        raise DeviceError(f"{subject.name} on {self._device.serial}: the pilot run told no latency")

    def _place(self, subject: Subject, runner: Runner, staging: Path, *, runs: int) -> PlannedRun:
        """Everything on the device, nothing of an earlier run left."""
        pushes, planned = runner.plan_run(
            subject, staging, self._directory, key=subject.name, round=0, runs=runs, threads=self._settings.threads
        )
        for item in (*runner.pushes(subject, staging, self._directory), *pushes):
            self._push(item)
        self._clear(planned)
        return planned

    def _push(self, item: PlannedPush) -> None:
        self._device.push(Path(item.local), item.remote, mode=0o755 if item.program else 0o644)

    def _host_ahead_s(self) -> float | None:
        """The host's monotonic clock minus the device's boot clock; None on a device that does not tell it."""
        before = time.monotonic()
        answer = self._device.run(["cat", "/proc/uptime"])
        between = (before + time.monotonic()) / 2
        words = answer.out.split()
        return between - float(words[0]) if answer.ok and words else None

    def _record(
        self, planned: PlannedRun, plan: EnergyPlan, arm_s: float, pilot_s: float
    ) -> tuple[PowerTrace, Finished]:
        log, rc_file = f"{planned.cwd}/energy.log", f"{planned.cwd}/energy.rc"
        armed = ["sh", "-c", _ARMED, "sh", f"{arm_s:g}", *planned.argv]
        command = in_context(armed, cwd=planned.cwd, env=planned.environment)
        self._device.run(["rm", "-f", rc_file])
        handle = self._device.spawn_detached(command, log=log, rc_file=rc_file)
        try:
            trace = self._sample(arm_s + pilot_s + plan.expected_s * 1.05 + 3.0)
            self._await_end(handle, plan)
        except BaseException:
            self._end(handle)
            raise
        rc = self._device.run(["cat", rc_file]).out.strip()
        printed = self._device.run(["cat", log]).out
        finished = Finished(int(rc) if rc.isdecimal() else 1, printed, "", files=self._fetch(planned))
        self._clear(planned, log, rc_file)
        return trace, finished

    def _clear(self, planned: PlannedRun, *more: str) -> None:
        with suppress(DeviceError):
            self._device.run(["rm", "-f", *(f"{planned.cwd}/{name}" for name in planned.clear), *more])

    def _sample(self, seconds: float) -> PowerTrace:
        """Sampling over the whole planned time, and the device back afterwards, also after an error.

        The time holds that of the pilot run: the process starts and loads the artifact again.
        """
        try:
            self._meter.start()
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                self._meter.check()
                self._sleep(min(WATCH_S, max(0.0, deadline - time.monotonic())))
            trace = self._meter.stop()
        except BaseException:
            self._meter.close()
            with suppress(DeviceError):  # what ended the sampling is what counts
                self._call_back()
            raise
        self._meter.close()
        self._call_back()
        return trace

    def _call_back(self) -> None:
        if self._meter.cuts_usb:
            self._note(f"waiting for {self._device.serial} to come back")
            self._device.reconnect(RECONNECT_S)

    def _await_end(self, handle: ProcessHandle, plan: EnergyPlan) -> None:
        deadline = time.monotonic() + LATE_S
        while self._device.is_alive(handle):
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"the run on {self._device.serial} took more than {plan.expected_s + LATE_S:.0f} s; "
                    f"{plan.expected_s:.0f} s were planned from the pilot run: the trace ended before it",
                    hint="let the device cool, or fix its clocks, and measure again",
                )
            self._sleep(0.5)

    def _end(self, handle: ProcessHandle) -> None:
        with suppress(DeviceError):
            self._device.kill(handle)

    def _fetch(self, planned: PlannedRun) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        with tempfile.TemporaryDirectory(prefix="edgevit-energy-") as directory:
            local = Path(directory) / "fetched"
            for name in planned.fetch:
                remote = f"{planned.cwd}/{name}"
                if self._device.run(["test", "-f", remote]).ok:
                    self._device.pull(remote, local)
                    files[name] = local.read_bytes()
        return files


def _refuse_tool(runner: str, meter: str, plan: EnergyPlan) -> None:
    """Tools run one inference after each gap and tell no times: only single inferences can be told apart."""
    if plan.burst > 1 or plan.whole_run:
        raise UsageError(
            f"{meter} needs bursts of {plan.burst} inferences here, and {runner} cannot make them",
            hint="--runner python, or a finer meter",
        )
