"""Every packet is taken, or the recording ends."""

from __future__ import annotations

import gc
import sys
import time

import numpy as np
import pytest

pytest.importorskip("Monsoon")

from fake_hvpm import FakeUnit, encode_samples, plugged_in
from hvpm_recording import record, wave

from edgevit.errors import MeterError
from runtimes.power.monsoon import MonsoonMeter


def test_silence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtimes.power.monsoon_reader.SILENCE_S", 0.3)
    current, voltage = wave()
    unit = FakeUnit(samples=encode_samples(current, voltage), silent_after=1000)
    with plugged_in(unit), MonsoonMeter() as meter:
        meter.start()
        time.sleep(0.8)
        with pytest.raises(MeterError, match="went silent"):
            meter.stop()
    assert unit.passthrough == 1, "the phone did not get its USB back"
    assert not unit.sampling


def test_nothing_at_all_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtimes.power.monsoon_reader.SILENCE_S", 0.3)
    unit = FakeUnit()
    with plugged_in(unit), MonsoonMeter() as meter, pytest.raises(MeterError, match=r"went silent|sent nothing"):
        meter.start()
    assert unit.passthrough == 1 and not unit.sampling


@pytest.mark.realtime
def test_reader_keeps_up_with_a_queue_of_16_samples() -> None:
    """Without a loss in one of three recordings: a virtual machine's host takes processor time that counts as ours."""
    current, voltage = wave(100_000)
    losses = []
    while len(losses) < 3 and 0 not in losses:
        unit = FakeUnit(samples=encode_samples(current, voltage), realtime=True, cpu_time=True)
        trace = record(unit)
        losses.append(int(np.sum(trace.lost)))
    assert 0 in losses, losses
    assert len(trace.power_mw) == len(unit.samples)


def test_a_reader_that_is_too_slow_would_be_caught() -> None:
    current, voltage = wave(50_000)
    unit = FakeUnit(samples=encode_samples(current, voltage), realtime=True, cpu_time=True)

    def dawdle(read: object) -> object:
        def slow(*arguments: object) -> object:
            until = time.thread_time() + 0.006
            while time.thread_time() < until:
                pass
            return read(*arguments)  # type: ignore[operator]

        return slow

    unit.read = dawdle(unit.read)  # type: ignore[method-assign,assignment]
    with pytest.raises(MeterError, match="dropped by the unit"):
        record(unit)


def test_short_packets_are_read_one_by_one() -> None:
    current, voltage = wave(5000)
    short = record(FakeUnit(samples=encode_samples(current, voltage), short_packets=True))
    full = record(FakeUnit(samples=encode_samples(current, voltage)))
    np.testing.assert_array_equal(short.power_mw, full.power_mw)


def test_interpreter_settings_come_back() -> None:
    before = (gc.isenabled(), sys.getswitchinterval())
    current, voltage = wave(5000)
    record(FakeUnit(samples=encode_samples(current, voltage)))
    assert (gc.isenabled(), sys.getswitchinterval()) == before
