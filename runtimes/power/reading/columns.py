"""Which column of a CSV file is what, and in which unit: by its heading, and by what the user says of it.

PyMonsoon's engine writes ``Time(ms),Main(mA),...,Main Voltage(V),`` for the channels that are on; its times are seconds
whatever the heading says. PowerTool exports ``Time (s)``, ``Main Avg Current (mA)``, ``Main Avg Voltage (V)``, ``Main
Avg Power (mW)``. FAI-PEP writes ``time, current, voltage, usb_current, usb_voltage, total_power`` in s, mA, V and mW;
its total holds what came over USB. Any other heading of ``time``, ``current``, ``voltage`` and ``power`` has to name
its units (``Time (ms)``, ``current_a``), or the user does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgevit.errors import MeterError, UsageError, unknown_choice

TIME, CURRENT, VOLTAGE, POWER = ROLES = ("time", "current", "voltage", "power")
FACTORS: dict[str, dict[str, float]] = {  # to s, mA, V and mW
    TIME: {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    CURRENT: {"a": 1e3, "ma": 1.0, "ua": 1e-3},
    VOLTAGE: {"v": 1.0, "mv": 1e-3, "uv": 1e-6},
    POWER: {"w": 1e3, "mw": 1.0, "uw": 1e-3},
}
USUAL = {TIME: "s", CURRENT: "mA", VOLTAGE: "V", POWER: "mW"}
UNITS = frozenset(unit for units in FACTORS.values() for unit in units)
_BRACKETED = re.compile(r"(.*?)[\s_]*[(\[]\s*([^)\]]*?)\s*[)\]]")
_APPENDED = re.compile(r"(.+?)[\s_/]+([^\s_/]+)")


@dataclass(frozen=True)
class Layout:
    """A tool's headings (lower case, without blanks, underscores and units) and its units where a heading has none.

    Attributes:
        name: The tool.
        time: Heading of the times.
        current: Of the current.
        voltage: Of the voltage.
        power: Of the power, which is preferred to current times voltage.
        units: Units by role, of tools that do not say them.
        telling: Headings that only this tool has.
        besides: Headings of another current and voltage, whose product is in the power as well.
    """

    name: str
    time: tuple[str, ...]
    current: tuple[str, ...]
    voltage: tuple[str, ...]
    power: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    telling: tuple[str, ...] = ()
    besides: tuple[str, ...] = ()


OURS, PYMONSOON = "edgevit-export", "PyMonsoon"
LAYOUTS = (
    Layout(OURS, ("time",), ("current",), ("voltage",), ("power",), telling=("flags",)),
    Layout(PYMONSOON, ("time",), ("main",), ("mainvoltage",)),
    Layout("PowerTool", ("time",), ("mainavgcurrent",), ("mainavgvoltage",), ("mainavgpower",)),
    Layout("PowerTool", ("time",), ("maincurrent",), ("mainvoltage",), ("mainpower",)),
    Layout(
        "FAI-PEP", ("time",), ("current",), ("voltage",), ("totalpower",),
        units={TIME: "s", CURRENT: "ma", VOLTAGE: "v", POWER: "mw"},
        telling=("totalpower",), besides=("usbcurrent", "usbvoltage"),
    ),
    Layout(
        "other tools", ("time", "timestamp", "elapsed", "elapsedtime", "t"), ("current", "i"), ("voltage", "v", "u"),
        ("power", "p"),
    ),
)  # fmt: skip
KNOWN = (
    "time_s,current_ma,voltage_v,power_mw,flags (ours); PyMonsoon's, PowerTool's, FAI-PEP's; time, current, voltage, "
    "power with units"
)


@dataclass(frozen=True)
class Columns:
    """Where what is.

    Attributes:
        layout: Whose heading it is.
        places: Column of each role, of ``flags`` and of what is besides.
        factors: What makes the numbers of each role s, mA, V and mW.
        stated: Roles whose unit the user stated.
        unread: Headings of all other columns.
    """

    layout: Layout
    places: Mapping[str, int]
    factors: Mapping[str, float]
    stated: frozenset[str]
    unread: tuple[str, ...] = ()


def parse_units(text: str) -> dict[str, str]:
    """``time=ms,current=-mA`` as a mapping; a minus turns the sign.

    Raises:
        UsageError: No such column or unit; lists them.
    """
    units: dict[str, str] = {}
    for part in text.split(","):
        role, _, unit = (word.strip() for word in part.partition("="))
        if role not in ROLES:
            raise unknown_choice("column", role, ROLES)
        _factor(role, unit)
        if role in units:
            raise UsageError(f"two units of {role} are given: {units[role]} and {unit}", hint="give one")
        units[role] = unit
    return units


def is_heading(names: tuple[str, ...]) -> bool:
    """Whether the cells of a line are the heading of a power trace."""
    return _layout_of([_split(name)[0] for name in names]) is not None


def lacking(names: tuple[str, ...]) -> str | None:
    """What the cells of a line would need besides to be a heading; None where it has nothing of one."""
    bases = [_split(name)[0] for name in names]
    spellings = {role: {word for row in LAYOUTS for word in getattr(row, role)} for role in ROLES}
    found = [role for role in ROLES if spellings[role] & set(bases)]
    missing = [role for role in (TIME, CURRENT, VOLTAGE) if role not in found]
    if not found or not missing:
        return None
    if POWER in found:
        return TIME
    return " and ".join(missing) + (f" (or {POWER} alone)" if missing != [TIME] else "")


def units_below(names: tuple[str, ...], below: tuple[str, ...]) -> tuple[str, ...] | None:
    """The heading with its units when the line below it holds nothing but units; else None."""
    bare = [_unit(cell.strip("()[] ")) for cell in below]
    told = [_split(name)[1] for name in names]
    if len(below) != len(names) or not any(bare) or not set(bare) <= UNITS | {""}:
        return None
    if any(unit and unit not in (above, above or unit) for unit, above in zip(bare, told, strict=True)):
        return None
    return tuple(
        f"{name} ({unit})" if unit and not above else name for name, unit, above in zip(names, bare, told, strict=True)
    )


def columns_of(names: tuple[str, ...], units: Mapping[str, str], origin: str) -> Columns:
    """Find the columns of a heading.

    Args:
        names: Cells of the heading, for which ``is_heading`` holds.
        units: What the user says of the units, by role.
        origin: The file, for messages.

    Raises:
        MeterError: Two columns of the same name, or one whose unit nobody tells.
        UsageError: A unit for a column that is not there, or that is none.
    """
    split = [_split(name) for name in names]
    layout = _layout_of([base for base, _ in split])
    assert layout is not None, "is_heading() comes first"
    places = _places(names, [base for base, _ in split], layout, origin)
    for role in units:
        if role not in places:
            raise UsageError(f"{origin} has no column of {role}, for which a unit is given: {', '.join(names)}")
    told = {role: split[place][1] or layout.units.get(role, "") for role, place in places.items() if role in ROLES}
    if missing := [role for role, unit in told.items() if not unit and role not in units]:
        example = ",".join(f"{role}={USUAL[role]}" for role in missing)
        raise MeterError(
            f"{origin}: the heading names no unit of {', '.join(names[places[role]] for role in missing)}",
            hint=f"--units {example}, if that is what they are",
        )
    factors = {
        role: _factor(role, units[role]) if role in units else _told(role, unit, origin) for role, unit in told.items()
    }
    unread = tuple(name for at, name in enumerate(names) if name and at not in places.values())
    return Columns(layout, places, factors, frozenset(units), unread)


def _places(names: tuple[str, ...], bases: list[str], layout: Layout, origin: str) -> dict[str, int]:
    """Column of each role that a heading, (n,) names and their bare forms, has."""
    wanted = {TIME: layout.time, CURRENT: layout.current, VOLTAGE: layout.voltage, POWER: layout.power}
    wanted |= {base: (base,) for base in ("flags", *layout.besides)}
    places: dict[str, int] = {}
    for role, spellings in wanted.items():
        found = [place for place, base in enumerate(bases) if base in spellings]
        if len(found) > 1:
            raise MeterError(f"{origin}: {len(found)} columns hold the {role}: {', '.join(names[at] for at in found)}")
        if found:
            places[role] = found[0]
    return places


def _split(name: str) -> tuple[str, str | None]:
    """The heading of a column without its unit, in lower case and without blanks, and its unit."""
    plain = name.strip()
    if plain.isupper():
        plain = plain.lower()  # POWER_MW: the case says nothing
    if found := _BRACKETED.fullmatch(plain):
        base, unit = found.groups()
        return _bare(base), _unit(unit)
    found = _APPENDED.fullmatch(plain)
    if found and _unit(found.group(2)).lower() in UNITS:
        return _bare(found.group(1)), _unit(found.group(2))
    return _bare(plain), None


def _bare(base: str) -> str:
    return re.sub(r"[\s_]+", "", base.lower())


def _unit(unit: str) -> str:
    """In lower case, and u for micro, whose sign is there twice; mega, which is not milli, as it stands."""
    return unit if unit[:1] == "M" and len(unit) > 1 else unit.lower().replace("\u00b5", "u").replace("\u03bc", "u")


def _layout_of(bases: list[str]) -> Layout | None:
    def has(spellings: tuple[str, ...]) -> bool:
        return any(spelling in bases for spelling in spellings)

    for layout in LAYOUTS:
        powered = has(layout.power) or (has(layout.current) and has(layout.voltage))
        if has(layout.time) and powered and (not layout.telling or has(layout.telling)):
            return layout
    return None


def _factor(role: str, unit: str) -> float:
    """The factor of a unit that the user gives."""
    sign, plain = (-1.0, unit[1:]) if unit.startswith("-") else (1.0, unit)
    if _unit(plain) not in FACTORS[role] or (role == TIME and sign < 0):
        raise unknown_choice(f"unit of {role}", unit, FACTORS[role])
    return sign * FACTORS[role][_unit(plain)]


def _told(role: str, unit: str, origin: str) -> float:
    """The factor of a unit that the heading gives."""
    if unit not in FACTORS[role]:
        milli = f"m{unit[1:]}" if unit[:1] == "M" else ""
        known, meant = (milli, ", if milli is meant") if milli.lower() in FACTORS[role] else ("UNIT", "")
        raise MeterError(
            f"{origin}: '{unit}' in the heading is no known unit of {role}: {', '.join(FACTORS[role])}",
            hint=f"--units {role}={known}{meant}",
        )
    return FACTORS[role][unit]
