"""Getting a device ready: temperature, cores, clocks, wakefulness. Every change goes through a session's journal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from edgevit.errors import DeviceError, UsageError
from edgevit.records import Record
from runtimes.conditions.journal import Change, as_change
from runtimes.conditions.lease import DeviceSession
from runtimes.conditions.state import DeviceState, Temperature, read_state
from runtimes.conditions.state_parsers import parse_cpu_list
from runtimes.devices.device import Device

WAKE_LOCK = "edgevit-export"
SCREEN_TIMEOUT_MS = 24 * 3600 * 1000
STAY_ON_ANY_POWER = 7  # android.os.BatteryManager: BATTERY_PLUGGED_AC | _USB | _WIRELESS

_WRITE = 'printf %s "$2" >"$1"'


class Cooldown(Record):
    """How the wait for the start temperature ended.

    Attributes:
        reached: The sensor is at or below the limit.
        waited_s: How long it took.
        sensor: The last reading of the deciding sensor.
    """

    reached: bool
    waited_s: float
    sensor: Temperature


def wait_for_temperature(
    device: Device,
    max_temp_c: float,
    *,
    timeout_s: float,
    period_s: float = 5.0,
    progress: Callable[[Temperature, float], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Cooldown:
    """Wait until the device is cool enough to start.

    Args:
        device: The device.
        max_temp_c: Highest temperature at which to start (``--max-temp``).
        timeout_s: How long to wait (``--cooldown``).
        period_s: Time between readings.
        progress: Called with each reading and the time waited so far in s.
        sleep: Waits; for tests.

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
        if progress is not None:
            progress(sensor, waited_s)
        throttling = bool(state.thermal.status)
        if (sensor.value_c <= max_temp_c and not throttling) or waited_s >= timeout_s:
            reached = sensor.value_c <= max_temp_c and not throttling
            return Cooldown(reached=reached, waited_s=waited_s, sensor=sensor)
        pause_s = min(period_s, timeout_s - waited_s)
        sleep(pause_s)
        waited_s += pause_s


def affinity_mask(state: DeviceState, wanted: str) -> int:
    """The cores that ``--affinity`` means, as a bit mask (bit n = core n).

    Args:
        state: The device's state, for its clusters.
        wanted: ``big`` (all but the slowest cluster), ``little`` (the slowest), a hexadecimal mask (``f0``, ``0xf0``)
            or a list of cores (``4-7``, ``0,4``).

    Raises:
        UsageError: No such cores, or commands may not run there; the message names those that can be used.
    """
    present = {cpu.index for cpu in state.cpus if cpu.online}
    usable = present & set(state.cpus_allowed) if state.cpus_allowed is not None else present
    cpus = _wanted_cpus(state, wanted)
    if not cpus or not set(cpus) <= usable:
        seen = ", ".join(str(cpu) for cpu in sorted(set(cpus) - usable)) or "none"
        raise UsageError(
            f"--affinity {wanted} means cores of {state.serial} that cannot be used ({seen}): "
            f"choose from {', '.join(str(cpu) for cpu in sorted(usable))}, as a list or a hexadecimal mask"
        )
    return sum(1 << cpu for cpu in cpus)


def _wanted_cpus(state: DeviceState, wanted: str) -> tuple[int, ...]:
    if wanted in ("big", "little"):
        if len(state.clusters) < 2:
            detail = "its cores are all alike" if state.clusters else "it does not tell the speed of its cores"
            raise UsageError(f"{state.serial} has no {wanted} cores: {detail}", hint="name cores: --affinity 0-1")
        if wanted == "little":
            return state.clusters[0].cpus
        return tuple(sorted(cpu for cluster in state.clusters[1:] for cpu in cluster.cpus))
    if re.fullmatch(r"\d+([-,]\d+)+", wanted):
        return parse_cpu_list(wanted)
    if re.fullmatch(r"(0[xX])?[0-9a-fA-F]{1,16}", wanted):
        mask = int(wanted, 16)
        return tuple(bit for bit in range(mask.bit_length()) if mask >> bit & 1)
    raise UsageError(f"--affinity '{wanted}' is neither big, little, a hexadecimal mask (f0) nor a list of cores (4-7)")


def pinned(argv: Sequence[str], mask: int) -> list[str]:
    """``argv``, to be run on the cores of ``mask`` only; toybox wants the mask in hex without 0x."""
    return ["taskset", f"{mask:x}", *argv]


def verify_pinning(device: Device, mask: int) -> None:
    """Make sure that the device keeps commands on the cores of ``mask``.

    Raises:
        DeviceError: It has no ``taskset``, or its scheduler says otherwise.
    """
    result = device.run(pinned(["grep", "Cpus_allowed:", "/proc/self/status"], mask))
    if not result.ok:
        raise DeviceError(
            f"{device.serial} cannot pin commands to cores: {result.complaint}", hint="leave out --affinity"
        )
    seen = int(result.out.partition(":")[2].strip().replace(",", "") or "0", 16)
    if seen != mask:
        raise DeviceError(
            f"{device.serial} runs pinned commands on cores {seen:#x}, not {mask:#x}: its cpusets forbid it"
        )


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
                apply=("input", "keyevent", "224"),
                undo=("input", "keyevent", "223"),
                check=check,
                old="off",
                new="awake",
            )
        )


def hold_wake_lock(session: DeviceSession) -> None:
    """Keep the kernel from suspending (root only): the one thing that holds when the USB cable is cut.

    Raises:
        DeviceError: Not root, or a kernel without wake locks.
    """
    change = Change(
        key="wake lock",
        apply=("sh", "-c", _WRITE, "sh", "/sys/power/wake_lock", WAKE_LOCK),
        undo=("sh", "-c", _WRITE, "sh", "/sys/power/wake_unlock", WAKE_LOCK),
        check=("sh", "-c", f"grep -qw {WAKE_LOCK} /sys/power/wake_lock && echo held || echo free"),
        old="free",
        new="held",
    )
    if not session.device.run(["test", "-w", "/sys/power/wake_lock"]).ok:
        raise DeviceError(
            f"{session.device.serial}: /sys/power/wake_lock cannot be written: needs root", hint="adb root"
        )
    session.make(change)


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


def set_governor(session: DeviceSession, governor: str = "performance", *, root: str = "") -> tuple[str, ...]:
    """Set the cpufreq governor of every policy (root only).

    Args:
        session: The session.
        governor: Its name.
        root: Put before ``/sys``; for tests.

    Returns:
        The policies that were changed; those that had it already are left alone.

    Raises:
        DeviceError: No policies, not root, or no such governor; the message has the choices.
    """
    device = session.device
    listing = device.script(
        'for p in "$1"/sys/devices/system/cpu/cpufreq/policy*; do [ -d "$p" ] && echo "$p"; done; true', root
    )
    policies = [line for line in listing.out.splitlines() if line]
    if not policies:
        raise DeviceError(f"{device.serial} has no cpufreq policies: its clocks cannot be set")
    changed = []
    for policy in policies:
        path, name = f"{policy}/scaling_governor", policy.rpartition("/")[2]
        choices = device.run(["cat", f"{policy}/scaling_available_governors"]).out.split()
        if choices and governor not in choices:
            raise DeviceError(
                f"{name} of {device.serial} has no governor '{governor}': choose from {', '.join(choices)}"
            )
        if not device.run(["test", "-w", path]).ok:
            raise DeviceError(f"{device.serial}: {path} cannot be written: needs root", hint="adb root")
        change = _file_change(device, f"governor of {name}", path, governor)
        if change.old != governor:
            session.make(change)
            changed.append(name)
    return tuple(changed)


def set_airplane_mode(session: DeviceSession) -> None:
    """Switch all radios off (Android 11 and up).

    Raises:
        UsageError: The device is reached over the network: this would cut it off.
        DeviceError: The device did not take it.
    """
    device = session.device
    if device.is_network:
        raise UsageError(
            f"airplane mode would cut {device.serial} off: it is reached over the network", hint="use a USB cable"
        )
    command = ("cmd", "connectivity", "airplane-mode")
    change = as_change(
        device,
        "airplane mode",
        apply=(*command, "enable"),
        undo=lambda old: (*command, "enable" if old == "1" else "disable"),
        check=("settings", "get", "global", "airplane_mode_on"),
        new="1",
    )
    session.make(change)


def _setting(device: Device, table: str, key: str, value: str) -> Change:
    def undo(old: str) -> Sequence[str]:
        return ("settings", "delete", table, key) if old == "null" else ("settings", "put", table, key, old)

    return as_change(
        device,
        key,
        apply=("settings", "put", table, key, value),
        undo=undo,
        check=("settings", "get", table, key),
        new=value,
    )


def _file_change(device: Device, key: str, path: str, value: str) -> Change:
    return as_change(
        device,
        key,
        apply=("sh", "-c", _WRITE, "sh", path, value),
        undo=lambda old: ("sh", "-c", _WRITE, "sh", path, old),
        check=("cat", path),
        new=value,
    )
