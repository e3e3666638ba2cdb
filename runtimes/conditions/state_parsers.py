"""Pure parsers from a device's words to ``DeviceState`` and its parts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runtimes.conditions.device_state import (
    BatteryState,
    CoreCluster,
    CpuState,
    DeviceState,
    Temperature,
    ThermalState,
)
from runtimes.devices.device import Kind
from runtimes.devices.figures import first_number, whole, within

# android.hardware.thermal: TemperatureType
THERMAL_TYPES = {0: "cpu", 1: "gpu", 2: "battery", 3: "skin", 9: "npu"}
NOT_TEMPERATURES = frozenset({-1, 6, 7, 8})  # unknown, and the battery current limiter's volts, amperes and percent
LONGEST_UNAME = 400  # characters; Linux tells at most 65 for each of the three words
CHARGING = 2  # android.os.BatteryManager: BATTERY_STATUS_CHARGING
MOST_CPUS = 8192  # what Linux can be built for (CONFIG_NR_CPUS)
MOST_V = 100.0  # chosen: no battery of a phone or a board is near it
LONGEST_S = 2**33  # uptime; chosen: no device has been on for 272 years
MOST_LOAD = 2**32  # of processes
SPEED_TOLERANCE = 0.9  # cores within 10 % of each other are one cluster: favoured cores of desktops differ by less

_ZONE_KINDS = (
    ("battery", r"batt|^bms"),
    ("gpu", r"gpu|mali"),
    ("npu", r"npu|tpu|apu|cdsp|hvx"),
    ("skin", r"skin|quiet|shell|case"),
    ("cpu", r"cpu|x86_pkg|k10temp|coretemp|soc[-_ ]?thermal|^soc|big|little|acpitz|cluster"),
)


def split_sections(text: str) -> dict[str, str]:
    """Split the script's output at its ``@@ name`` lines."""
    sections: dict[str, str] = {}
    for block in re.split(r"^@@ ", text.replace("\r", ""), flags=re.MULTILINE)[1:]:
        name, _, body = block.partition("\n")
        sections[name.strip()] = body
    return sections


def parse_state(text: str, *, serial: str, kind: Kind, unix_time_s: float) -> DeviceState:
    """Build the record from the output of ``STATE_SCRIPT``."""
    part = split_sections(text)
    uname = part.get("uname", "").strip()[:LONGEST_UNAME]
    props = parse_getprop(part.get("getprop", ""))
    cpus = parse_cpus(part.get("cpus", ""))
    thermal = parse_thermal(part.get("thermalservice", ""), part.get("zones", ""))
    battery = parse_battery(part["battery"]) if "battery" in part else None
    return DeviceState(
        serial=serial,
        kind=kind,
        unix_time_s=unix_time_s,
        uptime_s=within(first_number(part.get("uptime", "")), 0, LONGEST_S),
        manufacturer=props.get("ro.product.manufacturer"),
        model=props.get("ro.product.model") or part.get("board", "").strip("\0 \n") or None,
        soc=_soc(props, part),
        system=_found(r'^PRETTY_NAME="?([^"\n]*)', part.get("os", "")),
        android_version=props.get("ro.build.version.release"),
        sdk=whole(props.get("ro.build.version.sdk")),
        fingerprint=props.get("ro.build.fingerprint"),
        kernel=_found(r"^(\S+ \S+)", uname),
        abi=props.get("ro.product.cpu.abi") or _found(r"^\S+ \S+ (?:.* )?(\S+)$", uname),
        cpus=cpus,
        clusters=core_clusters(cpus),
        thermal=thermal,
        battery=battery or parse_supplies(part.get("supply", "")),
        screen=_wakefulness(part.get("power", "")),
        load_1min=within(first_number(part.get("loadavg", "")), 0, MOST_LOAD),
        cpus_allowed=_allowed(part.get("allowed", "")),
        cpu_quota=parse_quota(part.get("quota", "")),
        memory_total_bytes=_meminfo(part.get("meminfo", ""), "MemTotal"),
        memory_available_bytes=_meminfo(part.get("meminfo", ""), "MemAvailable"),
        airplane_mode=_flag(part.get("airplane_mode_on", "")),
        low_power_mode=_flag(part.get("low_power", "")),
        is_root=whole(part.get("root")) == 0 if part.get("root", "").strip() else None,
        missing=_why_missing(part, cpus, thermal),
    )


def parse_getprop(text: str) -> dict[str, str]:
    """Parse ``getprop``: lines ``[key]: [value]``; a value may go over several lines."""
    found: dict[str, str] = {}
    for block in text.replace("\r", "").split("\n["):
        key, separator, value = block.lstrip("[").partition("]: [")
        if separator:
            found[key] = value.rstrip().removesuffix("]")
    return found


def parse_cpus(text: str) -> tuple[CpuState, ...]:
    """Lines ``index online governor cur min max hw_max capacity``; ``-`` is unreadable; frequencies in kHz."""
    cpus = []
    for line in text.splitlines():
        words = line.split()
        index = whole(words[0]) if len(words) == 8 else None
        if index is not None and 0 <= index < MOST_CPUS:
            hertz = [_hertz(word) for word in words[3:7]]
            cpus.append(
                CpuState(
                    index=index,
                    online=words[1] != "0",  # core 0 often has no such file: it cannot be switched off
                    governor=None if words[2] == "-" else words[2],
                    cur_hz=hertz[0],
                    min_hz=hertz[1],
                    max_hz=hertz[2],
                    hw_max_hz=hertz[3],
                    capacity=_positive(whole(words[7])),
                )
            )
    return tuple(sorted({cpu.index: cpu for cpu in cpus}.values(), key=lambda cpu: cpu.index))


def _hertz(kilohertz: str) -> int | None:
    value = _positive(whole(kilohertz))
    return None if value is None else value * 1000


def _positive(value: int | None) -> int | None:
    """``value``, where it is a speed or a size: not below 0, and not beyond what a float holds exactly."""
    return value if value is not None and 0 <= value < 2**53 // 1024 else None


def core_clusters(cpus: Sequence[CpuState]) -> tuple[CoreCluster, ...]:
    """Group cores by ``cpu_capacity``, else by the hardware's top frequency; empty when neither is known."""
    online = [cpu for cpu in cpus if cpu.online]  # the kernel tells nothing of the others' speed
    for speeds in ([cpu.capacity for cpu in online], [cpu.hw_max_hz for cpu in online]):
        known = [speed for speed in speeds if speed]
        if online and len(known) == len(online):
            return _grouped(online, known)
    return ()


def _grouped(cpus: Sequence[CpuState], speeds: Sequence[int]) -> tuple[CoreCluster, ...]:
    groups: list[list[CpuState]] = []
    top = 0.0
    for speed, cpu in sorted(zip(speeds, cpus, strict=True), key=lambda pair: (-pair[0], pair[1].index)):
        if not groups or speed < top * SPEED_TOLERANCE:
            groups.append([])
            top = speed
        groups[-1].append(cpu)
    return tuple(
        CoreCluster(
            cpus=tuple(sorted(cpu.index for cpu in group)),
            hw_max_hz=max((cpu.hw_max_hz for cpu in group if cpu.hw_max_hz), default=None),
            capacity=max((cpu.capacity for cpu in group if cpu.capacity), default=None),
        )
        for group in reversed(groups)
    )


def parse_thermal(service: str, zones: str) -> ThermalState:
    """Android's thermal service, else the kernel's zones.

    Only the block "Current temperatures from HAL" counts: the cached one above it may be hours old.
    """
    _, found, block = service.partition("Current temperatures from HAL:")
    hal = _hal_temperatures(block) if found else ()
    temperatures = hal or _zone_temperatures(zones)
    return ThermalState(
        status=whole(_found(r"Thermal Status: ([0-9])\b", service)),
        source="hal" if hal else "zones" if temperatures else None,
        temperatures=temperatures,
    )


def _hal_temperatures(block: str) -> tuple[Temperature, ...]:
    found = []
    for line in block.splitlines()[1:]:
        if not line.startswith((" ", "\t")):
            break  # the next block: cooling devices, thresholds
        fields = dict(re.findall(r"m(Value|Type|Name)=([^,}]*)", line))
        value, number = first_number(fields.get("Value", "")), whole(fields.get("Type"))
        if value is not None and number is not None and number not in NOT_TEMPERATURES and _plausible(value):
            kind = THERMAL_TYPES.get(number, "other")
            found.append(Temperature(name=fields.get("Name", "?").strip(), kind=kind, value_c=value))
    return tuple(found)


def _zone_temperatures(text: str) -> tuple[Temperature, ...]:
    found = []
    for line in text.splitlines():
        raw, _, name = line.strip().partition(" ")
        value = first_number(raw)
        if value is None:
            continue
        value = value / 1000 if abs(value) >= 1000 else value
        if _plausible(value):
            kind = next((kind for kind, pattern in _ZONE_KINDS if re.search(pattern, name.lower())), "other")
            found.append(Temperature(name=name, kind=kind, value_c=value))
    return tuple(found)


def _plausible(celsius: float) -> bool:
    return -40 < celsius < 150 and celsius != 0


def _celsius(tenths: float | None) -> float | None:
    """A battery's temperature, which may be 0."""
    return None if tenths is None else within(tenths / 10, -40, 150)


def parse_battery(text: str) -> BatteryState | None:
    """``dumpsys battery``; None when there is none, or no such service."""
    body = text.partition("\n[")[0]  # some vendors append an event log with older values
    pairs = [line.partition(":") for line in body.splitlines()]
    fields = {key.strip().lower(): value.strip() for key, _, value in pairs}
    if "level" not in fields or fields.get("present") == "false":
        return None
    level, scale = first_number(fields["level"]), first_number(fields.get("scale", "")) or 100.0
    deci_c, milli_v = first_number(fields.get("temperature", "")), first_number(fields.get("voltage", ""))
    status = whole(fields.get("status"))
    return BatteryState(
        level_percent=None if level is None or scale <= 0 else within(100 * level / scale, 0, 100),
        temperature_c=_celsius(deci_c),
        voltage_v=None if milli_v is None else within(milli_v / 1000, 0, MOST_V),
        charging=None if status is None else status == CHARGING,
        powered_by=tuple(
            key.removesuffix(" powered") for key in fields if key.endswith(" powered") and fields[key] == "true"
        ),
        frozen="updates stopped" in text.lower(),
    )


def parse_supplies(text: str) -> BatteryState | None:
    """Lines ``name|type|online|status|capacity|temp|voltage_now`` of ``/sys/class/power_supply``."""
    rows = [row for row in (line.split("|") for line in text.splitlines()) if len(row) == 7]
    batteries = [row for row in rows if row[1] == "Battery"]
    if not batteries:
        return None
    _, _, _, status, capacity, deci_c, micro_v = batteries[0]
    temperature, voltage = first_number(deci_c), first_number(micro_v)
    return BatteryState(
        level_percent=within(first_number(capacity), 0, 100),
        temperature_c=_celsius(temperature),
        voltage_v=None if voltage is None else within(voltage / 1e6, 0, MOST_V),
        charging=None if status == "-" else status == "Charging",
        powered_by=tuple(row[1].lower() for row in rows if row[1] != "Battery" and row[2] == "1"),
    )


def parse_quota(text: str) -> float | None:
    """Cores' worth of time by cgroup v2's ``cpu.max``: ``QUOTA PERIOD`` in microseconds, or ``max PERIOD``."""
    words = text.split()
    quota, period = (first_number(words[0]), first_number(words[1])) if len(words) >= 2 else (None, None)
    return within(quota / period, 0, MOST_CPUS) if quota and period else None


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """The kernel's list format: ``0-3,6``; empty where it names more than there can be."""
    cpus: set[int] = set()
    pieces = text.strip().split(",")
    for piece in pieces if len(pieces) <= MOST_CPUS else ():
        if match := re.fullmatch(r"([0-9]{1,19})(?:-([0-9]{1,19}))?", piece.strip()):
            first, last = int(match[1]), int(match[2] or match[1])
            if last >= MOST_CPUS:
                return ()
            cpus.update(range(first, last + 1))
    return tuple(sorted(cpus))


def _allowed(text: str) -> tuple[int, ...] | None:
    return parse_cpu_list(text.partition(":")[2]) or None


def _soc(props: dict[str, str], part: dict[str, str]) -> str | None:
    named = [props.get("ro.soc.manufacturer"), props.get("ro.soc.model")]
    words = [word for word in named if word and word.lower() != "unknown"]
    if words:
        return " ".join(words)
    fields = (
        _found(rf"^{field}\s*:\s*(.+)$", part.get("cpuinfo", "")) for field in ("Hardware", "model name", "Model")
    )
    names = (props.get("ro.board.platform"), props.get("ro.hardware"), *fields)
    return next((name.strip() for name in names if name), None)


def _wakefulness(text: str) -> str | None:
    word = _found(r"mWakefulness=(\w+)", text)
    return word.lower() if word else None


def _meminfo(text: str, field: str) -> int | None:
    kib = _positive(whole(_found(rf"^{field}:\s*([0-9]+) kB", text)))
    return None if kib is None else kib * 1024


def _found(pattern: str, text: str) -> str | None:
    """What the group of ``pattern`` holds at its first place in ``text``; ``^`` and ``$`` are the lines' ends."""
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else None


def _flag(text: str) -> bool | None:
    return {"1": True, "0": False}.get(text.strip())


def _why_missing(part: dict[str, str], cpus: Sequence[CpuState], thermal: ThermalState) -> dict[str, str]:
    missing: dict[str, str] = {}
    android = "getprop" in part
    if not cpus or all(cpu.governor is None for cpu in cpus):
        missing["governor"] = "no readable /sys/devices/system/cpu/cpu*/cpufreq"
    if thermal.source is None:
        service = "the thermal service's HAL block is empty or absent, and " if "thermalservice" in part else ""
        missing["temperature"] = f"{service}/sys/class/thermal has no readable zone"
    if thermal.status is None:
        missing["thermal_status"] = "dumpsys thermalservice has no 'Thermal Status'" if android else "not Android"
    if "battery" in part and parse_battery(part["battery"]) is None:
        missing["battery"] = "dumpsys battery tells of none"
    elif "battery" not in part and parse_supplies(part.get("supply", "")) is None:
        missing["battery"] = "no battery in /sys/class/power_supply"
    if not _wakefulness(part.get("power", "")):
        missing["screen"] = "dumpsys power has no mWakefulness" if android else "not Android"
    if not _allowed(part.get("allowed", "")):
        missing["cpus_allowed"] = "no Cpus_allowed_list in /proc/self/status"
    return missing
