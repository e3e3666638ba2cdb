"""Whether a device, as it is now, is fit to be measured on."""

from __future__ import annotations

from edgevit.records import Record
from runtimes.conditions.state import DeviceState

BUSY_SHARE = 0.25  # of the online cores; chosen: one of four cores at work takes clock and memory from the others
LOW_BATTERY_PERCENT = 20.0  # chosen: phones offer their battery saver from about here
CAPPED_SHARE = 0.95  # of the hardware's top clock; chosen, because governors round to steps of a few percent
LOW_MEMORY_BYTES = 256 * 2**20  # chosen: a few times what a network of this size takes
STEADY_GOVERNORS = frozenset({"performance", "userspace"})  # Linux, admin-guide/pm/cpufreq
THERMAL_WORDS = (  # Android's PowerManager.THERMAL_STATUS_*, 0 to 6
    "none", "light", "moderate", "severe", "critical", "emergency", "shutdown",
)  # fmt: skip


class Fitness(Record):
    """The verdict, with its reasons in words.

    Attributes:
        fit: No reason against.
        reasons: What makes numbers from this device wrong now.
        cautions: What makes them noisier, or less certain; a measurement is still worth it.
    """

    fit: bool
    reasons: tuple[str, ...]
    cautions: tuple[str, ...]


def fitness(state: DeviceState, *, max_temp_c: float | None = None) -> Fitness:
    """Judge a device's state.

    Args:
        state: What was read.
        max_temp_c: The temperature at which a run may start; None for no limit.
    """
    reasons = [*_temperature(state, max_temp_c), *_power_saving(state), *_contention(state)]
    cautions = [*_clocks(state), *_battery(state), *_unreadable(state)]
    return Fitness(fit=not reasons, reasons=tuple(reasons), cautions=tuple(cautions))


def _temperature(state: DeviceState, max_temp_c: float | None) -> list[str]:
    found = []
    status = state.thermal.status
    if status:
        word = THERMAL_WORDS[status] if status < len(THERMAL_WORDS) else "unknown"
        found.append(f"the device throttles (thermal status {status}, {word})")
    sensor = state.thermal.start_temperature()
    if max_temp_c is not None and sensor is not None and sensor.value_c > max_temp_c:
        found.append(f"{sensor.name} is at {sensor.value_c:.1f} °C, above {max_temp_c:.1f} °C")
    return found


def _power_saving(state: DeviceState) -> list[str]:
    found = []
    if state.low_power_mode:
        found.append("battery saver is on: it lowers the clocks")
    battery = state.battery
    level = None if battery is None or battery.charging else battery.level_percent
    if level is not None and level < LOW_BATTERY_PERCENT:
        found.append(f"the battery is at {level:.0f} %: below {LOW_BATTERY_PERCENT:.0f} % devices slow down")
    return found


def _contention(state: DeviceState) -> list[str]:
    found = []
    cores = len([cpu for cpu in state.cpus if cpu.online])
    if state.load_1min is not None and cores and state.load_1min > BUSY_SHARE * cores:
        found.append(f"other work runs on it: load {state.load_1min:.2f} on {cores} core{'s' if cores != 1 else ''}")
    if state.cpu_quota is not None and cores and state.cpu_quota < cores:
        found.append(f"a container limit of {state.cpu_quota:g} cores' time stops processes in the middle of a run")
    available = state.memory_available_bytes
    if available is not None and available < LOW_MEMORY_BYTES:
        found.append(f"only {available / 2**20:.0f} MiB of memory are available")
    return found


def _clocks(state: DeviceState) -> list[str]:
    found = []
    moving = [governor for governor in state.governors if governor not in STEADY_GOVERNORS]
    if moving:
        found.append(f"clocks move with the load (governor {', '.join(moving)}): warm up, or fix them")
    capped = [c.index for c in state.cpus if c.max_hz and c.hw_max_hz and c.max_hz < CAPPED_SHARE * c.hw_max_hz]
    if capped:
        found.append(f"{_cores(capped)} may not reach the top clock")
    offline = [cpu.index for cpu in state.cpus if not cpu.online]
    if offline:
        found.append(f"switched off: {_cores(offline)}")
    allowed = state.cpus_allowed
    barred = [cpu.index for cpu in state.cpus if cpu.online and allowed is not None and cpu.index not in allowed]
    if barred:
        found.append(f"commands may not run on {_cores(barred)}")
    return found


def _battery(state: DeviceState) -> list[str]:
    found = []
    if state.battery is not None and state.battery.frozen:
        found.append("the battery's state is frozen by 'dumpsys battery': run 'dumpsys battery reset' there")
    if state.battery is not None and state.battery.charging:
        found.append("it is charging, which heats it")
    if state.screen in ("asleep", "dozing"):
        found.append(f"the screen is {state.screen}: the device may suspend in the middle of a run")
    return found


def _unreadable(state: DeviceState) -> list[str]:
    found = []
    if state.thermal.source is None and state.thermal.status is None:
        found.append("its temperature cannot be read: throttling shows only in the latencies")
    if "governor" in state.missing:
        found.append("its clocks cannot be read")
    return found


def _cores(cpus: list[int]) -> str:
    return f"core{'s' if len(cpus) > 1 else ''} {', '.join(str(cpu) for cpu in cpus)}"
