"""Energy counters of this machine, from files like the kernel's."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from sampling import write_files

from edgevit.errors import MeterError
from runtimes.power.rapl import RaplMeter, unwrap
from runtimes.power.sysfs import LocalSysfs


def _rapl(root: Path, energy_uj: int) -> Path:
    base = "sys/class/powercap/intel-rapl:0"
    return write_files(
        root,
        {
            f"{base}/name": "package-0",
            f"{base}/energy_uj": energy_uj,
            f"{base}/max_energy_range_uj": 262_143_328_850,
            "sys/class/powercap/intel-rapl:0:0/name": "core",
            "sys/class/powercap/intel-rapl:0:0/energy_uj": 5,
        },
    )


def test_a_machine_without_counters(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="no RAPL energy counter"):
        RaplMeter(LocalSysfs(tmp_path)).prepare()


def test_rapl_counts_packages_once_and_undoes_the_wrap(tmp_path: Path) -> None:
    meter = RaplMeter(LocalSysfs(_rapl(tmp_path, 262_143_300_000)))
    with meter:
        meter.prepare()
        meter.start()
        time.sleep(0.05)
        _rapl(tmp_path, 4_971_150)
        time.sleep(0.05)
        trace = meter.stop()
    assert trace.meta["rails"] == "package-0"
    assert float(np.sum(trace.power_mw)) / trace.rate_hz == pytest.approx(5000.0, rel=0.01)


def test_rapl_keeps_the_energy_of_a_time_without_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sysfs = LocalSysfs(_rapl(tmp_path, 1_000_000))
    meter = RaplMeter(sysfs)
    meter.prepare()
    read = sysfs.read
    with meter:
        meter.start()
        time.sleep(0.05)
        monkeypatch.setattr(sysfs, "read", lambda paths: (time.sleep(0.1), read(paths))[1])
        _rapl(tmp_path, 9_000_000)
        time.sleep(0.05)
        trace = meter.stop()
    assert trace.lost_share > 0.2
    assert np.isfinite(trace.power_mw).all()
    assert float(np.sum(trace.power_mw)) / trace.rate_hz == pytest.approx(8000.0, rel=0.15)


def test_counter_without_a_range_may_not_go_backwards() -> None:
    np.testing.assert_array_equal(unwrap(np.array([90.0, 95.0, 3.0, 8.0]), 100.0, "x"), [90.0, 95.0, 103.0, 108.0])
    with pytest.raises(MeterError, match="went backwards"):
        unwrap(np.array([90.0, 3.0]), 0.0, "x")


def test_rapl_without_permission_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sysfs = LocalSysfs(_rapl(tmp_path, 5))
    monkeypatch.setattr(
        sysfs, "read", lambda paths: [None if "energy_uj" in p and "max" not in p else "package-0" for p in paths]
    )
    with pytest.raises(MeterError) as caught:
        RaplMeter(sysfs).prepare()
    assert caught.value.hint is not None and "chmod a+r" in caught.value.hint
