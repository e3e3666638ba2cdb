"""Records on the disk while a device is measured: what is kept, replaced, continued."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_rig import Events, measure, misbehaving_python

from runtimes.devices.host import HostDevice
from runtimes.runners.runner import Subject

pytestmark = pytest.mark.usefixtures("state_dir")


def test_resume_skips_what_is_finished_and_redoes_what_was_measured_otherwise(model: Subject, tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "host")
    first = measure(device, [model], tmp_path / "out").runs
    events = Events()
    assert measure(device, [model], tmp_path / "out", events=events, resume=True).runs == first
    assert events.started == []
    measure(device, [model], tmp_path / "out", events=events, resume=True, warmup=2)
    assert len(events.started) == 2


def test_a_failure_does_not_touch_an_earlier_result(model: Subject, tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "host")
    measure(device, [model], tmp_path / "out", threads=(2,))
    (stored,) = (tmp_path / "out").rglob("*t2.json")
    before = stored.read_bytes()
    python = misbehaving_python(tmp_path / "python", "exit 3")
    (run,) = measure(device, [model], tmp_path / "out", threads=(2,), python=python).runs
    assert run.failure is not None
    assert stored.read_bytes() == before
