"""A bench under a meter, for tests: from a subject to its record and to its trace beside it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from bench_rig import Events, judge

from runtimes.bench import measure as measure_module
from runtimes.bench.execute import Judge
from runtimes.bench.measure import DeviceOutcome, Measurement
from runtimes.bench.request import BenchRequest, Conditions, MeterRequest
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice
from runtimes.power.meter import PowerMeter
from runtimes.runners.runner import Subject
from runtimes.runners.workload import Workload


class Host(HostDevice):
    """Records when it is called back."""

    reconnected = 0

    def reconnect(self, timeout_s: float = 20.0) -> None:
        self.reconnected += 1


def measure_energy(
    device: Device,
    subjects: Sequence[Subject],
    output: Path,
    meter: PowerMeter,
    workload: Workload,
    *,
    idle_s: float = 2.0,
    events: Events | None = None,
    conditions: Conditions | None = None,
    resume: bool = False,
    python: str = sys.executable,
    runner: str = "auto",
    judge: Judge = judge,
) -> DeviceOutcome:
    """Measure with ``meter`` in the place of the one that would be opened."""
    request = BenchRequest(
        workload=workload,
        conditions=conditions or Conditions(),
        meter=MeterRequest(name=meter.name, idle_s=idle_s, top1={"": 70.0}),
        python=python,
        runner=runner,
        resume=resume,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure_module, "open_meter", lambda *_, **__: meter)
        return Measurement(device, subjects, request, output, judge, events or Events()).run()
