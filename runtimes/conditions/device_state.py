"""``DeviceState``: what a device is, and in which state. What could not be read is None; nothing is guessed."""

from __future__ import annotations

from typing import Literal

from edgevit.records import Record, require_within
from runtimes.devices.device import Kind

MOST_CORES = 2**16  # chosen: Linux is built for 8192 at most


class CpuState(Record):
    """One core. Frequencies are what cpufreq reports; ``hw_max_hz`` is the hardware's own limit."""

    index: int
    online: bool
    governor: str | None
    cur_hz: int | None
    min_hz: int | None
    max_hz: int | None
    hw_max_hz: int | None
    capacity: int | None

    def __post_init__(self) -> None:
        """Refuse clocks that run backwards, and that no integer of 64 bits holds."""
        require_within(0, MOST_CORES, index=self.index)
        require_within(0, 2**53, capacity=self.capacity, cur_hz=self.cur_hz)
        require_within(0, 2**53, min_hz=self.min_hz, max_hz=self.max_hz, hw_max_hz=self.hw_max_hz)


class CoreCluster(Record):
    """Cores of one speed, slowest cluster first."""

    cpus: tuple[int, ...]
    hw_max_hz: int | None
    capacity: int | None


class Temperature(Record):
    """One sensor; ``kind`` is ``cpu``, ``gpu``, ``battery``, ``skin``, ``npu`` or ``other``."""

    name: str
    kind: str
    value_c: float

    def __post_init__(self) -> None:
        """Refuse what no device survives."""
        require_within(-273.15, 1000, value_c=self.value_c)


class ThermalState(Record):
    """Temperatures and Android's throttling status (0 none, 1 light, 2 moderate, 3 severe, 4 to 6 worse).

    Attributes:
        source: ``hal`` (Android's thermal service), ``zones`` (``/sys/class/thermal``) or None.
    """

    status: int | None
    source: str | None
    temperatures: tuple[Temperature, ...]

    def start_temperature(self) -> Temperature | None:
        """The sensor that decides whether a run may start: hottest of CPU and skin, else of the battery, else any."""
        for kinds in (("cpu", "skin"), ("battery",), ("gpu", "npu", "other")):
            fitting = [each for each in self.temperatures if each.kind in kinds]
            if fitting:
                return max(fitting, key=lambda each: each.value_c)
        return None


class BatteryState(Record):
    """The battery; ``frozen`` when ``dumpsys battery unplug`` or the like makes Android report invented values."""

    level_percent: float | None
    temperature_c: float | None
    voltage_v: float | None
    charging: bool | None
    powered_by: tuple[str, ...]
    frozen: bool = False

    def __post_init__(self) -> None:
        """Refuse a battery that is none."""
        require_within(0, 100, level_percent=self.level_percent)
        require_within(-273.15, 1000, temperature_c=self.temperature_c)
        require_within(0, 1000, voltage_v=self.voltage_v)


class DeviceState(Record):
    """A device at one moment.

    Attributes:
        unix_time_s: When it was read, by the clock of this host.
        uptime_s: Time since boot, by the device.
        soc: System on chip, as the device names it.
        abi: Preferred ABI in Android's words (``arm64-v8a``), or the machine of ``uname``.
        clusters: Cores by speed, slowest first.
        screen: ``awake``, ``asleep``, ``dozing`` or ``dreaming``.
        cpus_allowed: Cores on which this program's processes may run there.
        cpu_quota: Cores' worth of time that a container may use; None without a limit.
        is_root: Whether commands run as root.
        missing: What could not be read, and why.
    """

    serial: str
    kind: Kind
    unix_time_s: float
    uptime_s: float | None
    manufacturer: str | None
    model: str | None
    soc: str | None
    system: str | None
    android_version: str | None
    sdk: int | None
    fingerprint: str | None
    kernel: str | None
    abi: str | None
    cpus: tuple[CpuState, ...]
    clusters: tuple[CoreCluster, ...]
    thermal: ThermalState
    battery: BatteryState | None
    screen: str | None
    load_1min: float | None
    cpus_allowed: tuple[int, ...] | None
    cpu_quota: float | None
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    airplane_mode: bool | None
    low_power_mode: bool | None
    is_root: bool | None
    missing: dict[str, str]
    schema_version: Literal[1] = 1

    def __post_init__(self) -> None:
        """Refuse times, sizes and loads below nothing."""
        require_within(0, 2**53, uptime_s=self.uptime_s, load_1min=self.load_1min, cpu_quota=self.cpu_quota)
        require_within(0, 2**53, memory_total_bytes=self.memory_total_bytes)
        require_within(0, 2**53, memory_available_bytes=self.memory_available_bytes)

    @property
    def title(self) -> str:
        """Manufacturer and model in a few words."""
        words = [word for word in (self.manufacturer, self.model) if word]
        if len(words) == 2 and words[1].lower().startswith(words[0].lower()):
            words = words[1:]
        return " ".join(words) or self.serial

    @property
    def governors(self) -> tuple[str, ...]:
        """The governors in use, each once."""
        return tuple(sorted({cpu.governor for cpu in self.cpus if cpu.governor}))
