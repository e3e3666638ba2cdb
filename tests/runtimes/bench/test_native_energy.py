"""The native runner under the fake Monsoon, with the real ``monsoon`` package: detached while USB is cut."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("Monsoon")

from adbd_rig import Adbd
from fake_hvpm import plugged_in
from live_hvpm import BUSY_MA, VOLTS, LiveUnit
from metered import measure_energy
from native_rig import like_python, network, use_runners

from export.recipe import Format
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.power.monsoon import MonsoonMeter
from runtimes.runners.workload import Workload
from validation.energy.judge import judge_energy

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("state_dir")]  # real time: bursts must not be torn

# bursts of some fifty milliseconds, which the processor's clock is read often enough for
WORKLOAD = Workload(runs=8, rounds=1, warmup=2, gap_ms=60.0, burst=30, burst_factors=(1,), controls=2, timeout_s=60.0)
AROUND_NS = 3_000_000


@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE])
def test_energy_is_what_the_kernel_counted(
    adb_device: AdbDevice, adbd: Adbd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    """Stamps and pulses lie where the processor was busy, by a clock that the runner does not read."""
    use_runners(monkeypatch, "x86_64-linux", format)
    unit = LiveUnit(adbd, "edgevit-runner")
    subject = network(format, whole=True)
    stop, parted = MonsoonMeter.stop, []

    def back(meter: MonsoonMeter) -> object:
        parted.append(adbd.process is not None and adbd.process.poll() is not None)
        trace = stop(meter)
        adbd.start()
        return trace

    monkeypatch.setattr(MonsoonMeter, "stop", back)
    with plugged_in(unit):
        outcome = measure_energy(
            adb_device, [subject], tmp_path / "out", MonsoonMeter(), WORKLOAD, runner="native", judge=like_python
        )
    (run,) = outcome.runs
    assert run.failure is None and run.energy is not None, run.failure or run.energy_failure
    assert parted == [True], "USB was cut while it ran"
    measured = run.energy.run.measured
    assert run.runner == "native" and measured.runner == "native 1" and len(measured.pulses) == 6
    assert run.energy.run.verification.status == "passed"
    assert any(file.name == "edgevit-runner" for file in measured.files)
    (directory,) = (tmp_path / "out").iterdir()
    report = judge_energy(run, directory)
    assert report is not None and report.alignment is not None
    assert run.energy.device_to_trace_s == pytest.approx(report.alignment.offset_s, abs=0.1)
    stamps = run.energy.stamps
    assert stamps is not None and len(stamps.bursts) == WORKLOAD.runs
    # what is drawn within some milliseconds of a burst is its own: nothing else runs there
    counted_s = [unit.busy_s(burst.start_ns - AROUND_NS, burst.end_ns + AROUND_NS) for burst in stamps.bursts]
    busy_s = sum(counted_s) / len(measured.samples)
    assert report.energy_mj == pytest.approx(BUSY_MA * VOLTS * busy_s, rel=0.1)
    assert adb_device.run(["echo", "here"]).out.strip() == "here"
