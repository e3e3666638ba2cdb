"""Readings at a steady pace, in a thread that ends when it is told."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edgevit.errors import DeviceError, MeterError
from runtimes.power import polling
from runtimes.power.meter import Resolution
from runtimes.power.polling import PollingMeter
from runtimes.power.trace import Doubles, PowerTrace, from_readings


class Counter(PollingMeter):
    """Counts its readings; ``fail`` says what is raised instead of reading number n."""

    name = "counter"
    resolution = Resolution(period_s=0.01, step_mj=0.0, scope="nothing")

    def __init__(self, fail: dict[int, Exception] | None = None) -> None:
        super().__init__(0.01)
        self.count = 0
        self._fail = fail or {}

    def prepare(self) -> None:
        pass

    def read_once(self) -> tuple[float, ...]:
        self.count += 1
        if self.count in self._fail:
            raise self._fail[self.count]
        return (float(self.count),)

    def trace_of(self, seconds: Doubles, readings: Doubles) -> PowerTrace:
        assert readings.shape == (len(seconds), 1)
        return from_readings(seconds, readings[:, 0], rate_hz=100.0)


def test_the_pace_is_steady() -> None:
    with Counter() as meter:
        meter.start()
        time.sleep(0.3)
        trace = meter.stop()
    assert 20 <= meter.count <= 33
    assert np.all(np.diff(trace.power_mw) >= 0)
    with pytest.raises(MeterError, match="counter is not being read"):
        meter.stop()


def test_single_failures_are_passed_over() -> None:
    gone = DeviceError("busy")
    with Counter({3: gone, 4: gone, 6: gone, 7: gone}) as meter:
        meter.start()
        time.sleep(0.15)
        meter.check()
        meter.stop()


@pytest.mark.parametrize(
    ("error", "count", "words"),
    [
        (DeviceError("gone"), 3, "counter stopped answering: gone"),
        (ZeroDivisionError("oh"), 1, r"reading counter failed: ZeroDivisionError\('oh'\)"),
    ],
)
def test_a_meter_that_fails_for_good_ends_the_readings(error: Exception, count: int, words: str) -> None:
    with Counter(dict.fromkeys(range(3, 3 + count), error)) as meter:
        meter.start()
        time.sleep(0.15)
        with pytest.raises(MeterError, match=words):
            meter.check()
        with pytest.raises(MeterError, match=words):
            meter.stop()
        assert meter.count == 2 + count


def test_a_thread_that_is_late_to_end_adds_nothing_to_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LAST_READING_S", 0.05)
    held, let_go = threading.Event(), threading.Event()

    class Hanging(Counter):
        def read_once(self) -> tuple[float, ...]:
            if threading.current_thread() is not threading.main_thread() and not held.is_set():
                held.set()
                assert let_go.wait(10)
                return (-1.0,)
            return super().read_once()

    with Hanging() as meter:
        meter.start()
        assert held.wait(5)
        first = meter._thread
        meter.close()
        meter.start()
        let_go.set()
        assert first is not None
        first.join(5)
        assert not first.is_alive()
        time.sleep(0.05)
        assert float(meter.stop().power_mw.min()) > 0
