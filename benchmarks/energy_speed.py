"""How fast packets are decoded, whether the reader keeps up with 5 kHz, and what a 10-minute trace costs.

    PYTHONPATH=tests/support python benchmarks/energy_speed.py [decode|reader|analysis]

The reader is fed by the fake unit of the tests in real time: 5000 samples a second, a queue of 16 samples, whatever
is fetched later than 3.2 ms is lost and counted. The vendor's engine runs on the same unit for comparison.
"""

from __future__ import annotations

import io
import resource
import sys
import time
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np

from runtimes.power.monsoon import MonsoonMeter
from runtimes.power.monsoon_packets import Scales, decode
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from validation.energy.analysis import analyze_energy

SAMPLES = 3_000_000
READER_S = 30.0


def time_decode() -> None:
    """Decode 10 minutes of packets, three samples each."""
    from fake_hvpm import encode_samples

    samples = encode_samples(np.full(SAMPLES, 400.0), np.full(SAMPLES, 3.85))[: SAMPLES // 3 * 3]
    packets = np.zeros((len(samples) // 3, 64), np.uint8)
    packets[:, 2] = np.arange(len(packets)) & 0x0F | 0x20
    packets[:, 3] = 3
    packets[:, 4:58] = samples.reshape(-1, 54)
    scales = Scales(fine=36500, coarse=6400, fine_zero=15, coarse_zero=15)
    started = time.perf_counter()
    trace, _ = decode(packets, scales, np.zeros((0, 2)), {})
    seconds = time.perf_counter() - started
    print(
        f"decode: {len(trace.power_mw)} samples ({trace.seconds:.0f} s of recording) in {seconds:.2f} s: "
        f"{trace.seconds / seconds:.0f} times faster than real time"
    )


def time_reader() -> None:
    """Read the fake unit in real time, with ours and with the vendor's engine."""
    from fake_hvpm import FakeUnit, encode_samples, plugged_in

    count = int((READER_S + 5) * 5000)
    samples = encode_samples(np.full(count, 400.0), np.full(count, 3.85))
    with plugged_in(FakeUnit(samples=samples, realtime=True)), MonsoonMeter() as meter:
        meter.start()
        before = time.process_time()
        time.sleep(READER_S)
        spent = time.process_time() - before
        trace = meter.stop()
    lost = int(np.sum(trace.lost))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], trace.lost.astype(np.int8), [0]))))
    holes = np.diff(edges.reshape(-1, 2), axis=1).ravel() / 5.0
    print(f"reader: {len(trace.power_mw)} samples in {READER_S:.0f} s, {lost} lost, {spent / READER_S:.0%} of a core")
    if len(holes):
        print(f"  {len(holes)} holes of {holes.min():.1f} to {holes.max():.1f} ms")
    print("  (the core's share includes the fake unit)")
    _time_vendor(FakeUnit(samples=samples, realtime=True), "real time")
    with plugged_in(unit := FakeUnit(samples=samples, realtime=True, cpu_time=True)), MonsoonMeter() as meter:
        meter.start()
        while unit._next < len(samples):
            time.sleep(0.05)
        trace = meter.stop()
    print(f"reader, processor time: {len(trace.power_mw)} samples, {int(np.sum(trace.lost))} lost")
    _time_vendor(FakeUnit(samples=samples, realtime=True, cpu_time=True), "processor time")


def _time_vendor(unit: object, clock: str) -> None:
    from fake_hvpm import FakeUnit, plugged_in
    from Monsoon import HVPM, pmapi, sampleEngine

    assert isinstance(unit, FakeUnit)
    with plugged_in(unit), redirect_stdout(io.StringIO()):
        monsoon = HVPM.Monsoon()
        monsoon.setup_usb("12345", pmapi.USB_protocol())
        engine = sampleEngine.SampleEngine(monsoon)
        engine.ConsoleOutput(False)
        started = time.process_time()
        engine.startSampling(20 * 5000)
        spent = time.process_time() - started
        monsoon.closeDevice()
    share = f"{spent / 20:.0%} of a core"
    print(f"vendor's engine, {clock}: 20 s, {unit._dropped} lost (it reports {engine.dropped}), {share}")


def time_analysis() -> None:
    """Analyse 10 minutes: 50 inferences in a long recording, then 1600, then 5000 of 5 ms."""
    clean = scenario_named("clean")
    for long in (
        replace(clean, runs=50, idle_s=287.0),
        replace(clean, runs=1600, idle_s=8.0),
        replace(clean, runs=5000, idle_s=8.0, latency_ms=5.0, gap_ms=112.0),
    ):
        runs, made = long.runs, simulate(replace(long, name=f"long-{long.runs}"), 0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        report = analyze_energy(made.trace, stamps=made.stamps)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert report.energy_mj is not None
        print(
            f"analysis: {len(made.trace.power_mw)} samples, {runs} inferences: {seconds:.2f} s, peak of the process "
            f"{peak / 1024:.0f} MiB ({before / 1024:.0f} MiB before), {report.verdict}, "
            f"{report.energy_mj / made.truth.active_mj - 1:+.2%} off"
        )


def main() -> None:
    """Run all, or the parts that are named."""
    parts = {"analysis": time_analysis, "decode": time_decode, "reader": time_reader}
    for name in sys.argv[1:] or list(parts):
        parts[name]()


if __name__ == "__main__":
    main()
