"""Readings at a steady pace, in a thread that ends when it is told."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edgevit.errors import DeviceError, DeviceTimeoutError, MeterError, MissedReadingError
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
        self._try_pace()

    def read_once(self) -> tuple[float, ...]:
        self.count += 1
        if self.count in self._fail:
            raise self._fail[self.count]
        return (float(self.count),)

    def trace_of(self, seconds: Doubles, readings: Doubles) -> PowerTrace:
        assert readings.shape == (len(seconds), 1)
        return from_readings(seconds, readings[:, 0], rate_hz=100.0, period_s=self.resolution.period_s)


def test_the_pace_is_steady() -> None:
    with Counter() as meter:
        meter.start()
        time.sleep(0.3)
        trace = meter.stop()
    assert 15 <= meter.count <= 33
    assert np.all(np.diff(trace.power_mw[trace.flags == 0]) >= 0)
    assert trace.meta["readings"] == str(meter.count)
    with pytest.raises(MeterError, match="counter is not being read"):
        meter.stop()


def test_single_failures_are_passed_over() -> None:
    busy, missed = DeviceError("busy"), MissedReadingError("once")
    with Counter({3: busy, 4: missed, 8: missed, 9: busy}) as meter:
        meter.start()
        time.sleep(0.2)
        meter.check()
        trace = meter.stop()
    assert int(trace.meta["late readings"]) >= 2
    assert np.isnan(trace.power_mw[trace.lost]).all() and trace.lost_share > 0.1


def _stopped_with(error: Exception) -> tuple[Counter, PowerTrace]:
    """A meter whose last reading, the one that ``stop`` takes, fails."""
    meter = Counter()
    with meter, pytest.MonkeyPatch.context() as patch:
        meter.start()
        time.sleep(0.1)
        ended = meter.close

        def close() -> None:
            ended()
            meter._fail = {meter.count + 1: error}

        patch.setattr(meter, "close", close)
        return meter, meter.stop()


def test_a_last_reading_that_fails_is_done_without() -> None:
    for error in (MissedReadingError("just now"), DeviceTimeoutError("busy")):
        meter, trace = _stopped_with(error)
        assert int(trace.meta["readings"]) == meter.count - 1
    with pytest.raises(MeterError, match="nonsense"):
        _stopped_with(MeterError("nonsense"))


def test_what_is_no_number_is_a_missed_reading() -> None:
    class Infinite(Counter):
        def read_once(self) -> tuple[float, ...]:
            return (float("inf"),)

    with pytest.raises(MissedReadingError, match=r"counter told \(inf,\): expected finite numbers"):
        Infinite().start()


def test_readings_that_take_longer_than_their_period_set_the_pace() -> None:
    class Slow(Counter):
        def read_once(self) -> tuple[float, ...]:
            time.sleep(0.03)
            return super().read_once()

    with Slow() as meter:
        meter.prepare()
        assert 0.03 <= meter.period_s < 0.3
        assert meter.resolution.period_s == meter.period_s
    with Counter() as meter:
        meter.prepare()
        assert meter.resolution.period_s == 0.01


@pytest.mark.parametrize(
    ("error", "count", "words"),
    [
        (DeviceError("gone"), 3, "counter stopped answering: gone"),
        (MissedReadingError("away"), 3, "counter stopped answering: away"),
        (MeterError("nonsense"), 1, "counter stopped answering: nonsense"),
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
        assert float(np.nanmin(meter.stop().power_mw)) > 0
