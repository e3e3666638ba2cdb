"""Packets decoded; differential against the vendor's own engine."""

from __future__ import annotations

import io
import tracemalloc
from contextlib import redirect_stdout

import numpy as np
import pytest

pytest.importorskip("Monsoon")

from fake_hvpm import OPENING, FakeUnit, encode_samples, plugged_in
from hvpm_recording import record, wave

from edgevit.errors import MeterError
from runtimes.power.monsoon_packets import Scales, decode

SCALES = Scales(fine=36500, coarse=6400, fine_zero=15, coarse_zero=15)
NO_STAMPS = np.zeros((0, 2))


def test_same_numbers_as_the_vendors_sample_engine() -> None:
    from Monsoon import HVPM, pmapi, sampleEngine

    current, voltage = wave(6000)
    samples = encode_samples(current, voltage)
    unit = FakeUnit(samples=samples)
    with plugged_in(unit), redirect_stdout(io.StringIO()):
        monsoon = HVPM.Monsoon()
        monsoon.setup_usb("12345", pmapi.USB_protocol())
        engine = sampleEngine.SampleEngine(monsoon)
        engine.ConsoleOutput(False)
        engine.startSampling(5000)
        theirs = engine.getSamples()
        monsoon.closeDevice()
    ours = record(FakeUnit(samples=samples))
    assert ours.current_ma is not None and ours.voltage_v is not None
    there = np.isfinite(ours.current_ma)
    current_ma, voltage_v = ours.current_ma[there], ours.voltage_v[there]
    count = len(theirs[1])
    assert count > 4000
    first = next(i for i in range(600) if np.allclose(current_ma[i : i + 50], theirs[1][:50], rtol=1e-5))
    np.testing.assert_allclose(current_ma[first : first + count], theirs[1], rtol=1e-5)
    np.testing.assert_allclose(voltage_v[first : first + count], theirs[4], rtol=1e-5)


def test_calibration_that_wanders_moves_both_engines_alike() -> None:
    current, voltage = wave()
    trace = record(FakeUnit(samples=encode_samples(current, voltage, calibration_noise=20)))
    assert trace.current_ma is not None
    there = np.isfinite(trace.current_ma[OPENING:])
    error = trace.current_ma[OPENING:][there] - current[there]
    assert 0.05 < np.max(np.abs(error)) < 5.0


def test_samples_that_the_unit_dropped_leave_a_hole_of_their_size_and_wrap_the_counter() -> None:
    current, voltage = wave()
    unit = FakeUnit(samples=encode_samples(current, voltage), drops={5000: 40, 9000: 30}, first_drop_count=65500)
    trace = record(unit)
    assert len(trace.power_mw) == len(current) + OPENING
    assert int(np.sum(trace.lost)) == 70
    assert trace.current_ma is not None
    late = slice(12_000, 19_000)
    there = np.isfinite(current[late])
    assert np.max(np.abs(trace.current_ma[OPENING:][late][there] - current[late][there])) < 0.06


def test_packets_lost_on_the_way_are_seen_in_the_sequence_numbers() -> None:
    current, voltage = wave()
    trace = record(FakeUnit(samples=encode_samples(current, voltage), missing=frozenset({3000, 3001, 3002})))
    assert 3 <= int(np.sum(trace.lost)) <= 9
    assert abs(len(trace.power_mw) - len(current) - OPENING) <= 6


def test_packets_that_are_none_are_refused() -> None:
    packets = np.zeros((10, 64), np.uint8)
    with pytest.raises(MeterError, match="claims 0 samples: expected 1 to 3"):
        decode(packets, SCALES, NO_STAMPS, {})
    packets[:, 3] = 1
    with pytest.raises(MeterError, match="no zero calibration"):
        decode(packets, SCALES, NO_STAMPS, {})
    with pytest.raises(MeterError, match="delivered no packet"):
        decode(packets[:0], SCALES, NO_STAMPS, {})


def test_a_drop_counter_that_runs_away_takes_no_memory() -> None:
    packets = np.zeros((20_000, 64), np.uint8)
    packets[:, 3] = 3
    packets[:, 2] = np.arange(20_000) % 16
    packets.view("<u2")[:, 0] = (np.arange(20_000) * 65535) % 65536
    tracemalloc.start()
    with pytest.raises(MeterError, match=r"delivered 60000 samples of 13106\d+: 1310634465 dropped by the unit"):
        decode(packets, SCALES, NO_STAMPS, {})
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
