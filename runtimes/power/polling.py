"""Meters that are read again and again: a thread that takes readings at a steady pace until it is stopped."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from dataclasses import dataclass, field

import numpy as np

from edgevit.errors import DeviceError, MeterError
from runtimes.power.meter import PowerMeter
from runtimes.power.trace import Doubles, PowerTrace

MAX_FAILURES = 3  # chosen, because a single reading may fail while the device is busy
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
            DeviceError: It cannot be read.
        """

    @abstractmethod
    def trace_of(self, seconds: Doubles, readings: Doubles) -> PowerTrace:
        """All readings, (n,) times on the host's monotonic clock and (n, columns) values, as a trace."""

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
        """End the readings, take a last one, and hand all over."""
        if self._thread is None or self._polling is None:
            raise MeterError(f"{self.name} is not being read")
        self.close()
        self.check()
        readings = [*self._polling.readings, self._timed()]
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
                if failures >= MAX_FAILURES:
                    polling.error = MeterError(f"{self.name} stopped answering: {error.message}", hint=error.hint)
                    return
            except Exception as error:  # the thread must not die without a word
                polling.error = MeterError(f"reading {self.name} failed: {error!r}")
                polling.error.__cause__ = error
                return
