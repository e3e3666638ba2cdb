"""Meters that are read again and again: a thread that takes readings at a steady pace until it is stopped."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod

import numpy as np

from edgevit.errors import DeviceError, MeterError
from runtimes.power.meter import PowerMeter
from runtimes.power.trace import Doubles, PowerTrace

MAX_FAILURES = 3


class PollingMeter(PowerMeter):
    """Base of meters whose readings are pulled.

    Attributes:
        period_s: Time between two readings.
    """

    period_s: float

    def __init__(self) -> None:
        self._readings: list[tuple[float, tuple[float, ...]]] = []
        self._error: MeterError | None = None
        self._ending = threading.Event()
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
        self._readings = [self._timed()]
        self._error = None
        self._ending.clear()
        self._thread = threading.Thread(target=self._loop, name=f"{self.name}-meter", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the readings, if anything did."""
        if self._error is not None:
            raise self._error

    def stop(self) -> PowerTrace:
        """End the readings, take a last one, and hand all over."""
        if self._thread is None:
            raise MeterError(f"{self.name} is not being read")
        self._end()
        self.check()
        self._readings.append(self._timed())
        seconds = np.array([moment for moment, _ in self._readings])
        return self.trace_of(seconds, np.array([values for _, values in self._readings]))

    def close(self) -> None:
        """End the readings."""
        self._end()

    def _end(self) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=30.0)
            self._thread = None

    def _timed(self) -> tuple[float, tuple[float, ...]]:
        before = time.monotonic()
        values = self.read_once()
        return (before + time.monotonic()) / 2, values

    def _loop(self) -> None:
        failures = 0
        due = time.monotonic() + self.period_s
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            due = max(due + self.period_s, time.monotonic())
            try:
                self._readings.append(self._timed())
                failures = 0
            except DeviceError as error:
                failures += 1
                if failures >= MAX_FAILURES:
                    self._error = MeterError(f"{self.name} stopped answering: {error.message}", hint=error.hint)
                    return
            except Exception as error:  # the thread must not die without a word
                self._error = MeterError(f"reading {self.name} failed: {error!r}")
                self._error.__cause__ = error
                return


def distinct(seconds: Doubles, readings: Doubles) -> tuple[Doubles, Doubles]:
    """Only readings that differ from the one before, and the last: gauges repeat a value until they update."""
    changed = np.append(True, np.any(np.diff(readings, axis=0) != 0, axis=1))
    changed[-1] = True
    return seconds[changed], readings[changed]
