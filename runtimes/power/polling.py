"""Meters that are read again and again: a thread that takes readings at a steady pace until it is stopped."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from dataclasses import dataclass, field
from math import isfinite
from statistics import median

import numpy as np
from msgspec.structs import replace

from edgevit.errors import DeviceError, MeterError, MissedReadingError
from runtimes.power.meter import PowerMeter
from runtimes.power.trace import Doubles, PowerTrace

MAX_FAILURES = 3  # chosen, because a single reading may fail while the device is busy
TRIED_READINGS = 3  # chosen, because of three the one in the middle is no outlier
LAST_READING_S = 30.0  # chosen, because no reading has a longer deadline


@dataclass
class _Polling:
    """One run of the thread. A thread that is late to end keeps its own, so that it never adds to the next one's.

    Attributes:
        readings: Time on the host's monotonic clock in s, and the values.
        ending: Set when the thread is to end.
        error: What ended the readings.
    """

    readings: list[tuple[float, tuple[float, ...]]]
    ending: threading.Event = field(default_factory=threading.Event)
    error: MeterError | None = None


def _is_passing(error: DeviceError) -> bool:
    """Whether the next reading may succeed: a meter's own error is for good, a missed reading or a busy device not."""
    return isinstance(error, MissedReadingError) or not isinstance(error, MeterError)


class PollingMeter(PowerMeter):
    """Base of meters whose readings are pulled.

    Args:
        period_s: Time between two readings.
    """

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self._polling: _Polling | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    def read_once(self) -> tuple[float, ...]:
        """One reading, in the meter's own units.

        Raises:
            MissedReadingError: It could not be read this time.
            DeviceError: The same, of the device that it is read through.
            MeterError: It can never be read, or what it says is nonsense.
        """

    @abstractmethod
    def trace_of(self, seconds: Doubles, readings: Doubles) -> PowerTrace:
        """All readings, (n,) times on the host's monotonic clock and (n, columns) values, as a trace.

        Where readings failed or came late there is a hole, which the trace marks.
        """

    def _try_pace(self) -> None:
        """For ``prepare``: see that it can be read; readings that take longer than the period make it longer."""
        took_s = []
        for _ in range(TRIED_READINGS):
            before = time.monotonic()
            self._timed()
            took_s.append(time.monotonic() - before)
        self.period_s = max(self.period_s, median(took_s))
        self.resolution = replace(self.resolution, period_s=max(self.resolution.period_s, self.period_s))

    def start(self) -> None:
        """Take the first reading here, the others in a thread."""
        self._polling = _Polling([self._timed()])
        self._thread = threading.Thread(
            target=self._loop, args=(self._polling,), name=f"{self.name}-meter", daemon=True
        )
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the readings, if anything did."""
        if self._polling is not None and self._polling.error is not None:
            raise self._polling.error

    def stop(self) -> PowerTrace:
        """End the readings, take a last one (unless just that fails), and hand all over."""
        if self._thread is None or self._polling is None:
            raise MeterError(f"{self.name} is not being read")
        self.close()
        self.check()
        readings = list(self._polling.readings)
        try:
            readings.append(self._timed())
        except DeviceError as error:
            if not _is_passing(error):
                raise
        seconds = np.array([moment for moment, _ in readings])
        return self.trace_of(seconds, np.array([values for _, values in readings]))

    def close(self) -> None:
        """End the readings."""
        if self._thread is not None and self._polling is not None:
            self._polling.ending.set()
            self._thread.join(timeout=LAST_READING_S)
            self._thread = None

    def _timed(self) -> tuple[float, tuple[float, ...]]:
        before = time.monotonic()
        values = self.read_once()
        if not all(map(isfinite, values)):
            raise MissedReadingError(f"{self.name} told {values}: expected finite numbers")
        return (before + time.monotonic()) / 2, values

    def _loop(self, polling: _Polling) -> None:
        failures = 0
        due = time.monotonic() + self.period_s
        while not polling.ending.wait(max(0.0, due - time.monotonic())):
            due = max(due + self.period_s, time.monotonic())
            try:
                polling.readings.append(self._timed())
                failures = 0
            except DeviceError as error:
                failures += 1
                if not _is_passing(error) or failures >= MAX_FAILURES:
                    polling.error = MeterError(f"{self.name} stopped answering: {error.message}", hint=error.hint)
                    return
            except Exception as error:  # the thread must not die without a word
                polling.error = MeterError(f"reading {self.name} failed: {error!r}")
                polling.error.__cause__ = error
                return
