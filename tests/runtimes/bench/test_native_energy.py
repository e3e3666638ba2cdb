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
from runtimes.power.trace import PowerTrace
from runtimes.runners.workload import Workload
from validation.energy.judge import judge_energy
from validation.energy.report import EnergyReport

pytestmark = [pytest.mark.realtime, pytest.mark.usefixtures("state_dir")]

# bursts of some fifty milliseconds, which the program's state is read often enough for
WORKLOAD = Workload(runs=8, rounds=1, warmup=2, gap_ms=60.0, burst=30, burst_factors=(1,), controls=2, timeout_s=60.0)
AROUND_NS = 3_000_000


@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE])
def test_energy_is_what_was_drawn_while_the_kernel_had_it_running(
    adb_device: AdbDevice, adbd: Adbd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format
) -> None:
    """Stamps and pulses lie where the program ran or wanted to, by a clock that the runner does not read."""
    use_runners(monkeypatch, "x86_64-linux", format)
    metered = Metered(adb_device, adbd, tmp_path / "out", format)
    report = metered.report()
    assert report.energy_mj == pytest.approx(metered.drawn_mj(), rel=0.1)
    assert adb_device.run(["echo", "here"]).out.strip() == "here"


class Metered:
    """One run of a network on the device while its cable is cut, and what the unit drew meanwhile."""

    def __init__(self, device: AdbDevice, adbd: Adbd, home: Path, format: Format) -> None:
        self.unit, self._home = LiveUnit(adbd, "edgevit-runner"), home
        stop, parted = MonsoonMeter.stop, []

        def back(meter: MonsoonMeter) -> PowerTrace:
            parted.append(adbd.process is not None and adbd.process.poll() is not None)
            trace = stop(meter)
            adbd.start()
            return trace

        with plugged_in(self.unit), pytest.MonkeyPatch.context() as patch:
            patch.setattr(MonsoonMeter, "stop", back)
            outcome = measure_energy(
                device,
                [network(format, whole=True)],
                home,
                MonsoonMeter(),
                WORKLOAD,
                runner="native",
                judge=like_python,
            )
        (self.run,) = outcome.runs
        assert parted == [True], "USB was cut while it ran"
        assert self.run.failure is None, self.run.failure

    def report(self) -> EnergyReport:
        """What the trace says, behind a look at the record."""
        run = self.run
        assert run.energy is not None, run.energy_failure
        measured, stamps = run.energy.run.measured, run.energy.stamps
        assert run.runner == "native" and measured.runner == "native 1" and len(measured.pulses) == 6
        assert run.energy.run.verification.status == "passed"
        assert any(file.name == "edgevit-runner" for file in measured.files)
        assert stamps is not None and len(stamps.bursts) == WORKLOAD.runs
        (directory,) = self._home.iterdir()
        report = judge_energy(run, directory)
        assert report is not None and report.alignment is not None
        assert run.energy.device_to_trace_s == pytest.approx(report.alignment.offset_s, abs=0.1)
        return report

    def drawn_mj(self) -> float:
        """Of one inference: what is drawn within some milliseconds of a burst is its own, nothing else runs there."""
        assert self.run.energy is not None and self.run.energy.stamps is not None
        bursts = self.run.energy.stamps.bursts
        busy_s = sum(self.unit.busy_s(burst.start_ns - AROUND_NS, burst.end_ns + AROUND_NS) for burst in bursts)
        return BUSY_MA * VOLTS * busy_s / len(self.run.energy.run.measured.samples)
