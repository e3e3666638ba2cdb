"""Meters that read files and dumps: fake sysfs roots, recorded dumpsys output."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from phone_stub import PhoneStub
from runtimes.bench.energy_plan import EnergySettings, plan_energy

from edgevit.errors import MeterError, UsageError
from runtimes.devices.host import HostDevice
from runtimes.power.battery import BatteryMeter
from runtimes.power.hwmon import HwmonMeter, find_rails
from runtimes.power.meter import PowerMeter, require_resolution, require_run
from runtimes.power.meters import METERS, list_meters, open_meter
from runtimes.power.monsoon import MonsoonMeter
from runtimes.power.polling import distinct
from runtimes.power.rails import RailsMeter, parse_rails
from runtimes.power.rapl import RaplMeter, unwrap
from runtimes.power.sysfs import DeviceSysfs, LocalSysfs
from runtimes.power.trace import PowerTrace

DATA = Path(__file__).parents[2] / "data" / "power"
DUMP = (DATA / "ipowerstats_oriole.txt").read_text()


def _write(root: Path, files: dict[str, object]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def _sampled(meter: PowerMeter, seconds: float = 0.15) -> PowerTrace:
    with meter:
        meter.prepare()
        meter.start()
        time.sleep(seconds)
        meter.check()
        return meter.stop()


def _battery(root: Path, current: object, voltage: object, status: str = "Discharging") -> PhoneStub:
    base = "sys/class/power_supply/battery"
    _write(root, {f"{base}/current_now": current, f"{base}/voltage_now": voltage, f"{base}/status": status})
    return PhoneStub(root, {"dumpsys battery": "  AC powered: false\n  USB powered: false\n  voltage: 3900\n"})


@pytest.mark.parametrize(
    ("current", "voltage"), [(-512_000, 3_900_000), (512_000, 3_900_000), (-512, 3_900_000), (512, 3900), (-512, 3.9)]
)
def test_battery_takes_every_makers_unit_and_sign(tmp_path: Path, current: object, voltage: object) -> None:
    phone = _battery(tmp_path, current, voltage)
    meter = BatteryMeter(phone, period_s=0.02)
    meter.prepare()
    milliamperes, volts = meter.read_once()
    assert (milliamperes, volts) == pytest.approx((512.0, 3.9))


def test_battery_trace_follows_the_gauge(tmp_path: Path) -> None:
    phone = _battery(tmp_path, -500_000, 4_000_000)
    meter = BatteryMeter(phone, period_s=0.02)
    with meter:
        meter.prepare()
        meter.start()
        time.sleep(0.3)
        _write(tmp_path, {"sys/class/power_supply/battery/current_now": -1_000_000})
        time.sleep(0.3)
        trace = meter.stop()
    assert trace.power_mw[0] == pytest.approx(2000.0)
    assert trace.power_mw[-1] == pytest.approx(4000.0)
    assert trace.meta["meter"] == "battery gauge of 8BC1"


def test_battery_that_never_changes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="500 mA all the time"):
        _sampled(BatteryMeter(_battery(tmp_path, -500_000, 4_000_000), period_s=0.02))


def test_battery_is_refused_while_it_is_charged(tmp_path: Path) -> None:
    phone = _battery(tmp_path, 900_000, 4_000_000, status="Charging")
    with pytest.raises(MeterError, match="powered by its charger") as caught:
        BatteryMeter(phone).prepare()
    assert caught.value.hint is not None and "tcpip" in caught.value.hint
    phone.answers["dumpsys battery"] = "  AC powered: false\n  USB powered: true\n"
    with pytest.raises(MeterError, match="powered by USB"):
        BatteryMeter(phone).prepare()


def test_battery_falls_back_to_the_shell_command_and_says_when_nothing_helps(tmp_path: Path) -> None:
    phone = PhoneStub(tmp_path, {"dumpsys battery": "  USB powered: false\n  voltage: 3850\n"})
    with pytest.raises(MeterError, match="cannot be read"):
        BatteryMeter(phone).prepare()
    phone.answers["cmd battery get -f current_now"] = "-431000\n"
    meter = BatteryMeter(phone)
    meter.prepare()
    assert meter.read_once() == pytest.approx((431.0, 3.85))


def test_battery_with_a_voltage_of_no_battery_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="neither V, mV nor uV"):
        BatteryMeter(_battery(tmp_path, -500_000, 42)).prepare()


def test_rails_are_read_from_the_meter_section_only() -> None:
    rails = parse_rails(DUMP)
    assert len(rails) == 5
    assert rails["[S2M_VDD_CPUCL2]:CPU(BIG)"] == 42017.03
    assert not any("AOC" in name for name in rails)
    assert parse_rails("============= PowerStats HAL 2.0 state residencies ==============\n a  1.00 mWs") == {}


def _rails_phone(tmp_path: Path, step_mj: float) -> PhoneStub:
    added: Iterator[int] = itertools.count()

    def dump() -> str:
        return DUMP.replace("42017.03", f"{42017.03 + step_mj * next(added):.2f}")

    return PhoneStub(tmp_path, {"dumpsys android.hardware.power.stats": dump})


def test_rails_keep_the_energy_between_the_first_and_the_last_reading(tmp_path: Path) -> None:
    meter = RailsMeter(_rails_phone(tmp_path, 5.0), rails=("CPU",), period_s=0.03)
    trace = _sampled(meter, 0.3)
    readings = len(trace.host_stamps)
    assert readings > 4
    assert float(np.sum(trace.power_mw)) / trace.rate_hz == pytest.approx(5.0 * (readings - 1), rel=0.25)
    assert trace.meta["rails"].count(":CPU(") == 3


def test_rails_that_restart_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="restarted during the run"):
        _sampled(RailsMeter(_rails_phone(tmp_path, -5.0), period_s=0.03))


def test_rails_by_name_list_the_choices(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match=r"no rail named MODEM: there are \[S10M_VDD_TPU\]:TPU"):
        RailsMeter(_rails_phone(tmp_path, 1.0), rails=("MODEM",)).prepare()


def test_phones_without_rails_say_so(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="tells no power rails"):
        RailsMeter(PhoneStub(tmp_path, {})).prepare()


JETSON = {
    "sys/class/hwmon/hwmon3/name": "ina3221",
    "sys/class/hwmon/hwmon3/update_interval": 20,
    "sys/class/hwmon/hwmon3/in1_label": "VDD_IN",
    "sys/class/hwmon/hwmon3/in1_input": 5000,
    "sys/class/hwmon/hwmon3/curr1_input": 900,
    "sys/class/hwmon/hwmon3/in2_label": "VDD_CPU_GPU_CV",
    "sys/class/hwmon/hwmon3/in2_input": 5000,
    "sys/class/hwmon/hwmon3/curr2_input": 300,
    "sys/class/hwmon/hwmon0/name": "coretemp",
    "sys/class/hwmon/hwmon0/curr1_input": 1,
}


def test_jetson_takes_the_total_and_the_chips_own_pace(tmp_path: Path) -> None:
    meter = HwmonMeter(LocalSysfs(_write(tmp_path, JETSON)), period_s=0.005)
    trace = _sampled(meter)
    assert meter.resolution.scope == "VDD_IN"
    assert meter.resolution.period_s == pytest.approx(0.02)
    assert float(trace.power_mw.mean()) == pytest.approx(4500.0)
    assert trace.current_ma is not None and float(trace.current_ma.mean()) == pytest.approx(900.0)


def test_rails_of_a_board_can_be_added_up_and_read_over_a_device(tmp_path: Path) -> None:
    phone = PhoneStub(_write(tmp_path, JETSON), {})
    assert {rail.label for rail in find_rails(DeviceSysfs(phone))} == {"VDD_IN", "VDD_CPU_GPU_CV"}
    meter = HwmonMeter(DeviceSysfs(phone), rails=("VDD_IN", "VDD_CPU_GPU_CV"))
    meter.prepare()
    assert meter.read_once()[0] == pytest.approx(6000.0)


def test_ina219_and_old_jetsons(tmp_path: Path) -> None:
    base = "sys/class/hwmon/hwmon1"
    _write(
        tmp_path / "a",
        {
            f"{base}/name": "ina2xx",
            f"{base}/in1_input": 5000,
            f"{base}/curr1_input": 400,
            f"{base}/power1_input": 2_040_000,
        },
    )
    meter = HwmonMeter(LocalSysfs(tmp_path / "a"))
    meter.prepare()
    assert meter.read_once()[0] == pytest.approx(2040.0)
    old = "sys/bus/i2c/drivers/ina3221x/1-0040/iio:device0"
    _write(tmp_path / "b", {f"{old}/in_power0_input": 3100, f"{old}/rail_name_0": "POM_5V_IN"})
    meter = HwmonMeter(LocalSysfs(tmp_path / "b"))
    meter.prepare()
    assert meter.read_once()[0] == pytest.approx(3100.0)


def test_boards_with_several_rails_and_no_total_ask_for_a_choice(tmp_path: Path) -> None:
    files = {name: value for name, value in JETSON.items() if "in1_label" not in name}
    files["sys/class/hwmon/hwmon3/in1_label"] = "VDD_SOC"
    root = _write(tmp_path, files)
    with pytest.raises(MeterError, match="choose from VDD_CPU_GPU_CV, VDD_SOC"):
        HwmonMeter(LocalSysfs(root)).prepare()
    with pytest.raises(MeterError, match="no power rail VDD_IN"):
        HwmonMeter(LocalSysfs(root), rails=("VDD_IN",)).prepare()


def test_no_sensor_at_all(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="no INA power sensor"):
        HwmonMeter(LocalSysfs(tmp_path)).prepare()
    with pytest.raises(MeterError, match="no RAPL energy counter"):
        RaplMeter(LocalSysfs(tmp_path)).prepare()


def test_a_sensor_that_goes_away_is_an_error(tmp_path: Path) -> None:
    meter = HwmonMeter(LocalSysfs(_write(tmp_path, JETSON)), period_s=0.005)
    with meter:
        meter.prepare()
        meter.start()
        (tmp_path / "sys/class/hwmon/hwmon3/curr1_input").unlink()
        time.sleep(0.15)
        with pytest.raises(MeterError, match=r"hwmon stopped answering: power rail VDD_IN .* cannot be read"):
            meter.stop()


def _rapl(root: Path, energy_uj: int) -> Path:
    base = "sys/class/powercap/intel-rapl:0"
    return _write(
        root,
        {
            f"{base}/name": "package-0",
            f"{base}/energy_uj": energy_uj,
            f"{base}/max_energy_range_uj": 262_143_328_850,
            "sys/class/powercap/intel-rapl:0:0/name": "core",
            "sys/class/powercap/intel-rapl:0:0/energy_uj": 5,
        },
    )


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


def test_repeated_values_of_a_gauge_count_once() -> None:
    seconds, readings = distinct(np.arange(6.0), np.array([[1.0], [1.0], [2.0], [2.0], [2.0], [2.0]]))
    np.testing.assert_array_equal(seconds, [0.0, 2.0, 5.0])
    np.testing.assert_array_equal(readings[:, 0], [1.0, 2.0, 2.0])


def test_every_meter_states_its_resolution_and_refuses_what_is_finer(tmp_path: Path) -> None:
    phone = PhoneStub(tmp_path, {})
    meters: list[PowerMeter] = [MonsoonMeter(), BatteryMeter(phone), RailsMeter(phone), HwmonMeter(), RaplMeter()]
    assert [meter.name for meter in meters] == list(METERS)
    for meter in meters:
        shortest_s = meter.resolution.shortest_window_s
        require_resolution(meter, window_s=shortest_s)
        with pytest.raises(MeterError, match=f"{meter.name} cannot tell the energy of one"):
            require_resolution(meter, window_s=shortest_s / 2)
        with pytest.raises(MeterError, match="cannot tell the mean energy of a run"):
            require_run(meter, run_s=meter.resolution.shortest_run_s / 2)
    assert meters[0].resolution.shortest_window_s < 0.01
    assert meters[1].resolution.shortest_window_s > 1.0


def test_plans_fit_the_meter() -> None:
    one = plan_energy(MonsoonMeter(), EnergySettings(), latency_s=0.06)
    assert (one.burst, one.gap_ms, one.passes, one.whole_run) == (1, 120.0, 50, False)
    short = plan_energy(MonsoonMeter(), EnergySettings(), latency_s=0.001)
    assert short.burst == 5 and short.passes == 250
    assert plan_energy(RaplMeter(), EnergySettings(runs=10), latency_s=0.06).burst == 5
    with pytest.raises(MeterError, match="cannot tell the energy of one 1 ms inference"):
        plan_energy(MonsoonMeter(), EnergySettings(burst=1), latency_s=0.001)
    with pytest.raises(MeterError, match=r"burst of 3 inferences that takes 3\.9 ms: .* bursts from 4 ms on"):
        plan_energy(MonsoonMeter(), EnergySettings(burst=3), latency_s=0.0013)


def test_coarse_meters_take_whole_runs_and_never_alter_the_request(tmp_path: Path) -> None:
    battery = BatteryMeter(PhoneStub(tmp_path, {}))
    with pytest.raises(MeterError) as caught:
        plan_energy(battery, EnergySettings(runs=50), latency_s=0.06)
    assert caught.value.hint is not None and caught.value.hint.startswith("--runs 834 ")
    plan = plan_energy(battery, EnergySettings(runs=900), latency_s=0.06)
    assert plan.whole_run and plan.passes == 900 and plan.gap_ms == 0.0 and plan.idle_s >= 20
    with pytest.raises(UsageError, match="whole runs only"):
        plan_energy(battery, EnergySettings(runs=900, burst=3), latency_s=0.06)


def test_meters_by_name(tmp_path: Path) -> None:
    phone = PhoneStub(tmp_path, {})
    for name in ("monsoon", "battery", "rails", "hwmon"):
        assert open_meter(name, phone).name == name
    with pytest.raises(UsageError, match="rapl measures this machine, not 8BC1"):
        open_meter("rapl", phone)
    with pytest.raises(UsageError, match="battery is read from an Android device"):
        open_meter("battery", HostDevice(tmp_path))
    with pytest.raises(UsageError, match="unknown energy meter 'monson'") as caught:
        open_meter("monson", phone)
    assert caught.value.hint == "did you mean 'monsoon'?"
    with pytest.raises(UsageError, match="no serial and no voltage"):
        open_meter("rails", phone, volts=4.0)
    with pytest.raises(UsageError, match="no rails to choose"):
        open_meter("battery", phone, rails=("CPU",))


def test_listing_meters_touches_nothing_and_says_why_not(tmp_path: Path) -> None:
    rows = {row.name: row for row in list_meters(PhoneStub(tmp_path, {}))}
    assert list(rows) == list(METERS)
    assert rows["battery"].usable is False and "cannot be read" in rows["battery"].why_not
    assert {row.name for row in list_meters(None) if row.usable is None} == {"battery", "rails"}
