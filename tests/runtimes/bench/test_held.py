"""A device that is held: when its lock is renewed, and how long a run waits for its start temperature."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import runtimes.bench.held as held_module
from edgevit.errors import DeviceError
from runtimes.bench.held import RENEWAL_PERIOD_S, HeldDevice
from runtimes.bench.request import Conditions
from runtimes.conditions.lease import DeviceSession
from runtimes.devices.host import HostDevice


class Session(DeviceSession):
    """Remembers for how long it was extended."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(HostDevice(tmp_path))
        self.extended: list[float | None] = []

    def extend(self, lease_s: float | None = None) -> None:
        self.extended.append(lease_s)


def test_the_lock_is_renewed_where_it_is_due_and_for_long_runs_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(tmp_path)
    held = HeldDevice(session, Conditions(), lease_s=900.0)
    held.before_run()
    assert session.extended == [], "it was only just taken"
    held.before_run(3000.0)
    assert session.extended == [3900.0]
    now_s = held_module.time.monotonic()
    monkeypatch.setattr(held_module, "time", SimpleNamespace(monotonic=lambda: now_s + RENEWAL_PERIOD_S + 1.0))
    held.renew()
    held.renew()
    assert session.extended == [3900.0, 900.0]


@pytest.mark.parametrize("reached", [True, False])
def test_a_run_waits_for_its_start_temperature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: bool) -> None:
    def waited(device: object, limit_c: float, *, timeout_s: float) -> SimpleNamespace:
        assert (limit_c, timeout_s) == (40.0, 7.0)
        return SimpleNamespace(reached=reached, waited_s=7.0, sensor=SimpleNamespace(value_c=44.5, name="cpu"))

    monkeypatch.setattr(held_module, "wait_for_temperature", waited)
    held = HeldDevice(Session(tmp_path), Conditions(max_temp_c=40.0, cooldown_s=7.0), lease_s=900.0)
    if reached:
        held.before_run()
        return
    with pytest.raises(DeviceError, match=r"host is still at 44\.5 °C \(cpu\) after 7 s, above 40 °C"):
        held.before_run()
