"""Capture over a real adbd whose cable is pulled while the meter samples, as a Monsoon does."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

from adbd_rig import Adbd
from bench_rig import onnx_subject
from stamp_meter import BUSY_MW, StampMeter

from edgevit.errors import DeviceLostError, MeterError
from runtimes.bench.capture import Capture
from runtimes.bench.energy_plan import EnergyPlan, EnergySettings
from runtimes.bench.energy_runner import EnergyRunner
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.power.trace import PowerTrace
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Runner, RunSettings
from validation.energy.analysis import analyze_energy

pytestmark = pytest.mark.alone  # real time: bursts must not be torn by other tests

# thousands of a tiny model, so that a burst takes tens of milliseconds on the fastest machine too
SETTINGS = EnergySettings(runs=5, warmup=2, gap_ms=40.0, burst=5000, idle_s=2.2, timeout_s=60.0)


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


def _runner(settings: RunSettings, plan: EnergyPlan | None) -> Runner:
    return PythonRunner(sys.executable, settings) if plan is None else EnergyRunner(sys.executable, settings, plan)


def test_the_run_outlives_the_cable_and_its_stamps_come_back(
    adb_device: AdbDevice, adbd: Adbd, state_dir: Path, tmp_path: Path
) -> None:
    meter = CuttingMeter(adbd)
    capture = Capture(adb_device, meter, SETTINGS).run(onnx_subject(tmp_path / "tiny.onnx"), _runner)
    assert capture.stamps is not None and len(capture.stamps.bursts) == 5
    report = analyze_energy(capture.trace, stamps=capture.stamps)
    durations_s = [(window.end_ns - window.start_ns) / 1e9 for window in capture.stamps.bursts]
    assert report.energy_mj == pytest.approx(BUSY_MW * sum(durations_s) / 5 / 5000, rel=0.05)
    assert capture.device_to_trace_s is not None and report.alignment is not None
    assert capture.device_to_trace_s == pytest.approx(report.alignment.offset_s, abs=0.1)
    assert adb_device.run(["echo", "here"]).out.strip() == "here"


@pytest.fixture
def started(adb_device: AdbDevice, adbd: Adbd) -> Iterator[Callable[[], list[int]]]:
    """The processes that were started detached and still run; ended when the test ends."""
    log = adbd.root / "processes"
    log.touch()
    adb_device.process_log = str(log)

    def running() -> list[int]:
        pairs = [line.split() for line in log.read_text().splitlines()]
        return [int(pid) for pid, start in pairs if _start_of(int(pid)) == start]

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
    adb_device: AdbDevice, adbd: Adbd, state_dir: Path, tmp_path: Path, started: Callable[[], list[int]]
) -> None:
    with pytest.raises(MeterError, match="unplugged"):
        Capture(adb_device, CuttingMeter(adbd, fails=True), SETTINGS).run(onnx_subject(tmp_path / "tiny.onnx"), _runner)
    assert adb_device.run(["echo", "here"]).out.strip() == "here"
    assert (adbd.root / "processes").read_text().strip(), "the detached run was never started"
    assert started() == []


def test_a_device_that_never_comes_back_is_told(
    adb_device: AdbDevice, adbd: Adbd, state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    started: Callable[[], list[int]],
) -> None:  # fmt: skip
    monkeypatch.setattr("runtimes.bench.capture.RECONNECT_S", 1.0)
    monkeypatch.setattr(Capture, "_sample", _short_sample(Capture._sample))
    meter = CuttingMeter(adbd)
    monkeypatch.setattr(meter, "_back", lambda: None)
    with pytest.raises(DeviceLostError):
        Capture(adb_device, meter, SETTINGS).run(onnx_subject(tmp_path / "tiny.onnx"), _runner)
    assert meter.calls[-1] == "close" and "stop" in meter.calls
    assert started(), "nobody could have ended it"


def _short_sample(original):  # type: ignore[no-untyped-def]
    return lambda self, seconds: original(self, 0.3)
