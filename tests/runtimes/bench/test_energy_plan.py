"""Plans of energy runs fit what the meter resolves."""

from __future__ import annotations

from pathlib import Path

import pytest
from phone_stub import PhoneStub

from edgevit.errors import MeterError, UsageError
from runtimes.bench.energy_plan import EnergySettings, plan_energy
from runtimes.power.battery import BatteryMeter
from runtimes.power.monsoon import MonsoonMeter
from runtimes.power.rapl import RaplMeter


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
