"""One process under a power meter: detached start, sampling from before to after, USB back, results fetched.

The process must outlive the USB line, since a Monsoon cuts it while it samples. So everything is on the device before,
rounds without the meter have told that it works and how long it takes, and the measured process starts by itself a
moment after the line is gone. Whatever happens, the meter is stopped first (which gives the phone its USB back), then
the device is called back, and what still runs on it is ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from edgevit.errors import DeviceError
from runtimes.bench.layout import MeteredLayout
from runtimes.bench.process import fetch
from runtimes.devices.device import Device, ProcessHandle, in_context
from runtimes.devices.figures import first_number, whole
from runtimes.power.meter import PowerMeter
from runtimes.power.trace import PowerTrace
from runtimes.runners.exits import show_tail
from runtimes.runners.process import Finished, PlannedRun
from runtimes.runners.runner import Measured

ARM_S = 2.0  # chosen, because the line is down within a second after the sampling was asked for
LATE_S = 20.0  # chosen: how long a run that is late may take after the sampling has ended
# Chosen: half of the time is idle, so inferences may take a fifth longer than in the rounds that planned it: a device
# that is warm, or whose clocks fall in the gaps.
LONGER = 1.1
AROUND_S = 3.0  # sampled beyond what is planned, so that the idle after the run is in the trace
RECONNECT_S = 60.0  # chosen, because a phone is back on USB within seconds and over Wi-Fi within half a minute
WATCH_S = 0.25  # chosen, because a meter that is lost is to be told within a second
_ARMED = 'sleep "$1"; shift; exec "$@"'


def _sampled_s(layout: MeteredLayout) -> float:
    """How long the meter samples from the moment that the process has started."""
    return layout.expected_s * LONGER + AROUND_S


def longest_s(layout: MeteredLayout, start_s: float) -> float:
    """How long ``MeteredRunner.run`` may take, for whoever must not take its device for lost meanwhile.

    Args:
        layout: What is run.
        start_s: How long it takes to start.
    """
    return ARM_S + layout.workload.idle_s + start_s + _sampled_s(layout) + RECONNECT_S + LATE_S


@dataclass(frozen=True, eq=False)
class MeteredProcess:
    """What came of one process.

    Attributes:
        trace: Power from before to after.
        finished: What the process left.
        host_ahead_s: The host's monotonic clock minus the device's boot clock; None where the device does not tell it.
    """

    trace: PowerTrace
    finished: Finished
    host_ahead_s: float | None

    def device_to_trace_s(self, measured: Measured) -> float | None:
        """Added to the device's monotonic time gives trace time; None where a clock is missing."""
        clocks = measured.clocks
        if clocks is None or self.host_ahead_s is None or not len(self.trace.host_stamps):
            return None
        index, seconds = self.trace.host_stamps[0]
        trace_start_s = float(seconds - index / self.trace.rate_hz)
        return (clocks.boottime_ns - clocks.monotonic_ns) / 1e9 + self.host_ahead_s - trace_start_s


@dataclass(frozen=True)
class MeteredRunner:
    """Runs planned processes on one device under one meter, which the caller has prepared and will close.

    Attributes:
        device: The device; its lock is held and it is kept awake by the caller.
        meter: The meter.
        note: Told of each step.
    """

    device: Device
    meter: PowerMeter
    note: Callable[[str], None] = lambda text: None

    def run(self, planned: PlannedRun, layout: MeteredLayout, *, idles: bool, start_s: float) -> MeteredProcess:
        """Run ``planned``, which follows ``layout``.

        Args:
            planned: The process; all its files are on the device.
            layout: How long it takes, and what it does when.
            idles: Whether the process keeps the idle before its runs itself.
            start_s: How long it takes to start, to load the artifact and to run the golden inputs.

        Raises:
            MeterError: The meter broke off.
            DeviceError: The device failed, or did not come back.
        """
        ahead_s = self._host_ahead_s()
        arm_s = ARM_S if idles else ARM_S + layout.workload.idle_s
        log, rc_file = f"{planned.cwd}/energy.log", f"{planned.cwd}/energy.rc"
        armed = ["sh", "-c", _ARMED, planned.program, f"{arm_s:g}", *planned.argv]
        command = in_context(armed, cwd=planned.cwd, env=planned.environment)
        self._remove(*(f"{planned.cwd}/{name}" for name in planned.clear), rc_file)
        handle = self.device.spawn_detached(command, log=log, rc_file=rc_file)
        try:
            trace = self._sample(arm_s + start_s + _sampled_s(layout))
            self._await_end(handle, layout)
            printed = self.device.run(["cat", log]).out
            rc = self._exit_code(planned, rc_file, printed)
            files = fetch(self.device, planned, planned.fetch)
        except BaseException:
            with suppress(DeviceError):
                self.device.kill(handle)
            raise
        finally:
            self._remove(log, rc_file)
        return MeteredProcess(trace, Finished(rc, printed, "", files=files), ahead_s)

    def _exit_code(self, planned: PlannedRun, rc_file: str, printed: str) -> int:
        """How the process ended, as the shell around it wrote it down."""
        rc = whole(self.device.run(["cat", rc_file]).out)
        if rc is None:
            raise DeviceError(
                f"{planned.key} on {self.device.serial} is gone and left no exit code: it was killed together with the "
                f"shell that started it{show_tail(printed.encode())}",
                hint="most often the device ran out of memory or was started anew: close apps, then measure again",
            )
        return rc

    def _host_ahead_s(self) -> float | None:
        before = time.monotonic()
        answer = self.device.run(["cat", "/proc/uptime"])
        between = (before + time.monotonic()) / 2
        uptime_s = first_number(answer.out) if answer.ok else None
        return None if uptime_s is None else between - uptime_s

    def _remove(self, *paths: str) -> None:
        with suppress(DeviceError):
            self.device.run(["rm", "-f", *paths])

    def _sample(self, seconds: float) -> PowerTrace:
        """Sampling over the whole planned time, and the device back afterwards, also after an error."""
        try:
            self.meter.start()
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                self.meter.check()
                time.sleep(min(WATCH_S, max(0.0, deadline - time.monotonic())))
            trace = self.meter.stop()
        except BaseException:
            self.meter.close()
            with suppress(DeviceError):  # what ended the sampling is what counts
                self._call_back()
            raise
        self.meter.close()
        self._call_back()
        return trace

    def _call_back(self) -> None:
        if self.meter.cuts_usb:
            self.note(f"waiting for {self.device.serial} to come back")
            self.device.reconnect(RECONNECT_S)

    def _await_end(self, handle: ProcessHandle, layout: MeteredLayout) -> None:
        deadline = time.monotonic() + LATE_S
        while self.device.is_alive(handle):
            if time.monotonic() > deadline:
                raise DeviceError(
                    f"the run on {self.device.serial} took more than {layout.expected_s + LATE_S:.0f} s; "
                    f"{layout.expected_s:.0f} s were planned from its latency: the trace ended before it",
                    hint="let the device cool, or fix its clocks, and measure again",
                )
            time.sleep(0.5)
