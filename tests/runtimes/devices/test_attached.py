"""Devices in a listing, whatever their kind."""

from __future__ import annotations

import pytest

from runtimes.devices.attached import AttachedDevice, DeviceListing, choices


def entry(serial: str, *, kind: str = "adb", state: str = "device", model: str | None = None) -> AttachedDevice:
    return AttachedDevice(serial=serial, kind=kind, state=state, model=model, hint=None)


@pytest.mark.parametrize(("state", "usable"), [("device", True), ("offline", False), ("unauthorized", False)])
def test_only_one_state_is_usable(state: str, usable: bool) -> None:
    assert entry("S", state=state).is_usable is usable


def test_the_host_is_apart() -> None:
    phone = entry("S")
    assert DeviceListing(devices=(phone, entry("host", kind="host"))).beside_host == (phone,)


def test_choices_name_the_model_or_else_the_state_and_always_the_host() -> None:
    assert choices([entry("A", model="Pixel 7"), entry("B", state="offline")]) == "A (Pixel 7), B (offline), host"
    barred = entry("C", model="Pixel 8", state="unauthorized")
    assert choices([barred]) == "C (Pixel 8, unauthorized), host"
    assert choices([]) == "host"
