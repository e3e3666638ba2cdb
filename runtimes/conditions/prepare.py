"""Make a device ready for a run: wait until it is cool, keep it awake, fix its clocks.

Every change goes through the session's journal, so that it is undone at the end.
"""

from __future__ import annotations

import time

from edgevit.errors import DeviceError
from edgevit.records import Record
from runtimes.conditions.device_state import Temperature
from runtimes.conditions.journal import Change
from runtimes.conditions.lease import DeviceSession
from runtimes.conditions.state import read_state
from runtimes.devices.device import Device

READ_PERIOD_S = 5.0  # chosen, because it is short against minutes of cooling and long against a reading (0.3 s)
SCREEN_TIMEOUT_MS = 24 * 3600 * 1000  # chosen, because it outlasts any run
STAY_ON_ANY_POWER = 7  # android.os.BatteryManager: BATTERY_PLUGGED_AC | _USB | _WIRELESS
KEYCODE_SLEEP, KEYCODE_WAKEUP = "223", "224"  # android.view.KeyEvent


class Cooldown(Record):
    """How the wait for the start temperature ended.

    Attributes:
        reached: The sensor is at or below the limit, and the device does not throttle.
        waited_s: How long it took.
        sensor: The last reading of the deciding sensor.
    """

    reached: bool
    waited_s: float
    sensor: Temperature


def wait_for_temperature(device: Device, max_temp_c: float, *, timeout_s: float) -> Cooldown:
    """Wait until the device is cool enough to start.

    Args:
        device: The device.
        max_temp_c: Highest temperature at which to start (``--max-temp``).
        timeout_s: How long to wait (``--cooldown``).

    Returns:
        The last reading; ``reached`` is False when the time was up. Whether to go on is the caller's decision.

    Raises:
        DeviceError: The device tells no temperature, so that the wish cannot be met.
    """
    waited_s = 0.0
    while True:
        state = read_state(device)
        sensor = state.thermal.start_temperature()
        if sensor is None:
            raise DeviceError(
                f"{device.serial} tells no temperature ({state.missing.get('temperature', 'no sensor')}), so a start "
                f"at {max_temp_c:g} °C cannot be assured",
                hint="leave out --max-temp",
            )
        reached = sensor.value_c <= max_temp_c and not state.thermal.status
        if reached or waited_s >= timeout_s:
            return Cooldown(reached=reached, waited_s=waited_s, sensor=sensor)
        pause_s = min(READ_PERIOD_S, timeout_s - waited_s)
        time.sleep(pause_s)
        waited_s += pause_s


def stay_awake(session: DeviceSession) -> None:
    """Keep the screen on and the device out of suspend, with and without power from the cable.

    Does nothing on devices without Android's settings, such as this host.
    """
    device = session.device
    if not device.run(["settings", "get", "global", "stay_on_while_plugged_in"]).ok:
        return
    session.make(_setting(device, "global", "stay_on_while_plugged_in", str(STAY_ON_ANY_POWER)))
    session.make(_setting(device, "system", "screen_off_timeout", str(SCREEN_TIMEOUT_MS)))
    check = ("sh", "-c", "dumpsys power | grep mWakefulness= | grep -q Awake && echo awake || echo off")
    if device.run(check).out.strip() == "off":
        session.make(
            Change(
                key="screen",
                apply=("input", "keyevent", KEYCODE_WAKEUP),
                undo=("input", "keyevent", KEYCODE_SLEEP),
                check=check,
                old="off",
                new="awake",
            )
        )


def fix_performance_mode(session: DeviceSession) -> None:
    """Android's fixed performance mode: clocks that the device can hold for long (Android 11 and up).

    Raises:
        DeviceError: The device has no such mode. There is no way to read it back: its exit code and text decide.
    """
    command = ("cmd", "power", "set-fixed-performance-mode-enabled")
    device = session.device
    if not device.run(["sh", "-c", "command -v cmd"]).ok:
        raise DeviceError(f"{device.serial} has no fixed performance mode: it is not Android", hint="leave it out")
    session.make(Change(key="fixed performance mode", apply=(*command, "true"), undo=(*command, "false")))


def _setting(device: Device, table: str, key: str, value: str) -> Change:
    """The change of one of Android's settings, whose undo brings the present value back.

    Raises:
        DeviceError: The value cannot be read; what cannot be restored is not changed.
    """
    check = ("settings", "get", table, key)
    result = device.run(check)
    if not result.ok:
        raise DeviceError(f"{key} of {device.serial} cannot be read, so it is not changed: {result.complaint}")
    old = result.out.strip()
    put = ("settings", "put", table, key)
    undo = ("settings", "delete", table, key) if old == "null" else (*put, old)
    return Change(key=key, apply=(*put, value), undo=undo, check=check, old=old, new=value)
