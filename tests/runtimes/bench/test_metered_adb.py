"""A run under a meter over a real adbd whose cable is pulled while the meter samples, as a Monsoon does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

from adbd_rig import Adbd
from bench_rig import onnx_subject
from metered import measure_energy
from stamp_meter import BUSY_MW, StampMeter

import runtimes.bench.metered as metered_module
from edgevit.errors import DeviceLostError
from runtimes.bench.metered import MeteredRunner
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.power.trace import PowerTrace
from runtimes.runners.workload import Workload
from validation.energy.judge import judge_energy

pytestmark = [pytest.mark.realtime, pytest.mark.usefixtures("state_dir")]  # real time: bursts must not be torn

# thousands of a tiny model, so that a burst takes tens of milliseconds on the fastest machine too
WORKLOAD = Workload(runs=5, rounds=1, warmup=2, gap_ms=40.0, burst=5000, burst_factors=(1,), controls=0, timeout_s=60.0)


class CuttingMeter(StampMeter):
    """Cuts the line to the daemon while it samples."""

    def __init__(self, adbd: Adbd, *, fails: bool = False) -> None:
        super().__init__(adbd.root, fails=fails)
        self._adbd = adbd
        self._cut = False

    def start(self) -> None:
        super().start()
        self._adbd.pull_cable()
        self._cut = True

    def stop(self) -> PowerTrace:
        self._back()
        return super().stop()

    def close(self) -> None:
        super().close()
        self._back()

    def _back(self) -> None:
        if self._cut:
            self._cut = False
            self._adbd.start()


def test_the_run_outlives_the_cable_and_its_stamps_come_back(adb_device: AdbDevice, adbd: Adbd, tmp_path: Path) -> None:
    meter = CuttingMeter(adbd)
    subject = onnx_subject(tmp_path / "tiny.onnx")
    (run,) = measure_energy(adb_device, [subject], tmp_path / "out", meter, WORKLOAD).runs
    assert run.energy is not None, run.energy_failure
    stamps = run.energy.stamps
    assert stamps is not None and len(stamps.bursts) == 5
    (directory,) = (tmp_path / "out").iterdir()
    report = judge_energy(run, directory)
    durations_s = [(window.end_ns - window.start_ns) / 1e9 for window in stamps.bursts]
    assert report is not None and report.alignment is not None
    assert report.energy_mj == pytest.approx(BUSY_MW * sum(durations_s) / 5 / 5000, rel=0.05)
    assert run.energy.device_to_trace_s == pytest.approx(report.alignment.offset_s, abs=0.1)
    assert adb_device.run(["echo", "here"]).out.strip() == "here"


@pytest.fixture
def started(adb_device: AdbDevice, adbd: Adbd) -> Iterator[Callable[[], list[int]]]:
    """The processes that were started with a group of their own and still run; ended when the test ends."""
    log = adbd.root / "scratch dir" / "session" / "processes"
    seen: set[tuple[str, str]] = set()

    def running() -> list[int]:
        with suppress(OSError):
            seen.update((pid, start) for pid, start in (line.split() for line in log.read_text().splitlines()))
        return [int(pid) for pid, start in seen if _start_of(int(pid)) == start]

    yield running
    for pid in running():
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _start_of(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return fields[19] if fields[0] != "Z" else None


def test_a_meter_that_breaks_off_gives_the_device_back_and_ends_the_run(
    adb_device: AdbDevice, adbd: Adbd, tmp_path: Path, started: Callable[[], list[int]]
) -> None:
    subject = onnx_subject(tmp_path / "tiny.onnx")
    (run,) = measure_energy(adb_device, [subject], tmp_path / "out", CuttingMeter(adbd, fails=True), WORKLOAD).runs
    assert run.energy_failure is not None and "unplugged" in run.energy_failure.message
    assert len(run.rounds) == 1
    assert adb_device.run(["echo", "here"]).out.strip() == "here"
    assert started() == []


def test_a_device_that_never_comes_back_is_told_and_its_latencies_are_kept(
    adb_device: AdbDevice, adbd: Adbd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    started: Callable[[], list[int]],
) -> None:  # fmt: skip
    monkeypatch.setattr(metered_module, "RECONNECT_S", 1.0)
    original = MeteredRunner._sample

    def short(self: MeteredRunner, seconds: float) -> PowerTrace:
        started()
        return original(self, 0.3)

    monkeypatch.setattr(MeteredRunner, "_sample", short)
    meter = CuttingMeter(adbd)
    monkeypatch.setattr(meter, "_back", lambda: None)
    outcome = measure_energy(adb_device, [onnx_subject(tmp_path / "tiny.onnx")], tmp_path / "out", meter, WORKLOAD)
    (run,) = outcome.runs
    assert len(run.rounds) == 1
    assert run.energy_failure is not None
    assert isinstance(outcome.error, DeviceLostError)
    assert meter.calls[-1] == "close" and "stop" in meter.calls
    assert (tmp_path / "out").rglob("*.partial.json")
