"""How fine a meter is, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from phone_stub import PhoneStub

from edgevit.errors import MeterError
from runtimes.power.battery import BatteryMeter
from runtimes.power.hwmon import HwmonMeter
from runtimes.power.meter import PowerMeter, require_resolution, require_run
from runtimes.power.meters import METERS
from runtimes.power.monsoon import MonsoonMeter
from runtimes.power.rails import RailsMeter
from runtimes.power.rapl import RaplMeter


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
