"""Power traces as files: ``.npz`` and CSV, our own layout and those of other tools (``reading.columns``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import MeterError, UsageError
from edgevit.records import atomic_path
from edgevit.text import read_bytes
from runtimes.power.plausible import check_agreement, check_plausible
from runtimes.power.reading.columns import (
    CURRENT,
    KNOWN,
    POWER,
    PYMONSOON,
    TIME,
    VOLTAGE,
    Columns,
    columns_of,
    is_heading,
    lacking,
    units_below,
)
from runtimes.power.reading.grid import Grid, place
from runtimes.power.reading.numbers import Numbers, read_numbers
from runtimes.power.reading.sheet import Sheet, find_heading, split, utf8
from runtimes.power.trace import LOST, Doubles, Flags, PowerTrace

OURS = ("time_s", "current_ma", "voltage_v", "power_mw", "flags")
TRACE_BYTES = 2**31  # chosen: hours of 5 kHz; what is longer is no recording of 50 inferences
STAMP_EVERY = 500  # chosen, because ten stamps a second tell the rate as well as all of them
SLOWEST_MONSOON_HZ = 10.0  # chosen: one sample of 500; in ms taken for s, 5 kHz is 5 Hz


def write_csv(trace: PowerTrace, path: Path) -> None:
    """Write ``trace`` in our own layout, atomically; ``nan`` where nothing was measured."""
    count = len(trace.power_mw)
    unknown = np.full(count, np.nan)
    columns = [
        np.arange(count) / trace.rate_hz,
        unknown if trace.current_ma is None else trace.current_ma,
        unknown if trace.voltage_v is None else trace.voltage_v,
        trace.power_mw,
        trace.flags,
    ]
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii") as file:
        file.write(",".join(OURS) + "\n")
        np.savetxt(file, np.stack(columns, axis=1), fmt=("%.6f", "%.4f", "%.5f", "%.4f", "%d"), delimiter=",")


def read_trace(
    path: Path, *, delimiter: str | None = None, decimal: str | None = None, units: Mapping[str, str] | None = None
) -> PowerTrace:
    """Read a power trace from ``.npz`` or from CSV in any layout of ``reading.columns``.

    Args:
        path: The file.
        delimiter: What separates cells of a CSV file; None finds out (comma, semicolon, tab).
        decimal: Its decimal mark, ``.`` or ``,``; None finds out.
        units: Its units by ``time``, ``current``, ``voltage`` and ``power``, instead of those that the heading names;
            with a minus (``-mA``) the sign is turned.

    Raises:
        MeterError: No such file, an unknown heading, a line that cannot be read, times that do not tell where rows are
            missing, or values that no power trace has.
        UsageError: An option that cannot be, or that is none of ``.npz``.
    """
    if path.suffix.lower() == ".npz":
        if delimiter or decimal or units:
            raise UsageError(
                f"{path} has neither delimiter nor decimal mark, and its units are known", hint="leave them out"
            )
        return PowerTrace.load(path)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise UsageError(f"the delimiter {delimiter!r} is not a single character")
    if decimal not in (None, ".", ",") or (decimal is not None and decimal == delimiter):
        raise UsageError(f"the decimal mark {decimal!r} is neither '.' nor ',', or the delimiter as well")
    data = read_bytes(path, what="the power trace", limit_bytes=TRACE_BYTES, failure=MeterError)
    origin = str(path)
    text = utf8(data, origin)
    sheet = find_heading(text, origin, is_heading=is_heading, delimiter=delimiter, known=KNOWN, lacking=lacking)
    return _trace(*_under_units(sheet), units or {}, decimal)


def _under_units(sheet: Sheet) -> tuple[Sheet, tuple[str, ...]]:
    """The sheet, and its heading with the units of a line of units below it."""
    first = split(sheet.body[: max(0, sheet.body.find(b"\n"))].decode(errors="replace"), sheet.delimiter)
    names = units_below(sheet.names, first)
    return (sheet, sheet.names) if names is None else (sheet.without_first_line(), names)


def _trace(sheet: Sheet, names: tuple[str, ...], units: Mapping[str, str], decimal: str | None) -> PowerTrace:
    """The trace below a heading."""
    columns = columns_of(names, units, sheet.origin)
    numbers = read_numbers(sheet, list(columns.places.values()), decimal=decimal)
    if len(numbers.values) < 2:
        raise MeterError(f"{sheet.origin}: {len(numbers.values)} samples, a power trace needs at least 2")
    column = {role: numbers.values[:, at] * columns.factors.get(role, 1.0) for at, role in enumerate(columns.places)}
    seconds = _seconds(column[TIME], columns)
    grid = place(seconds, numbers.lines, sheet.origin, packets=columns.layout.name == PYMONSOON)
    power, current, voltage = _power(column, columns, sheet.origin), column.get(CURRENT), column.get(VOLTAGE)
    check_plausible(
        sheet.origin, rate_hz=grid.rate_hz, power_mw=power, current_ma=current, voltage_v=voltage, units=columns.stated
    )
    return PowerTrace(
        rate_hz=grid.rate_hz,
        power_mw=_laid(power, grid),
        flags=_flags(column.get("flags"), power, grid, numbers, sheet.origin),
        current_ma=None if current is None else _laid(current, grid),
        voltage_v=None if voltage is None else _laid(voltage, grid),
        host_stamps=_stamps(seconds, grid),
        meta={"meter": f"CSV of {columns.layout.name}", "source": sheet.origin}
        | ({"columns not read": ", ".join(columns.unread)[:200]} if columns.unread else {}),
    )


def _seconds(times: Doubles, columns: Columns) -> Doubles:
    """The times, (n,), in s; PyMonsoon's heading says ms and means s, unless someone took it at its word."""
    if columns.layout.name != PYMONSOON or TIME in columns.stated:
        return times
    taken = times / columns.factors[TIME]
    span = float(taken[-1] - taken[0])
    return times if span > 0 and len(taken) / span < SLOWEST_MONSOON_HZ else taken


def _power(column: Mapping[str, Doubles], columns: Columns, origin: str) -> Doubles:
    """The column of power, which has to agree with the others, or current times voltage: (n,) mW."""
    power = column.get(POWER)
    if CURRENT not in column or VOLTAGE not in column:
        assert power is not None, "a heading has one or the other"
        return power
    product = column[CURRENT] * column[VOLTAGE]
    if power is None:
        return product
    beside = [column[base] for base in columns.layout.besides if base in column]
    check_agreement(origin, power, product + beside[0] * beside[1] if len(beside) == 2 else product)
    return power


def _laid(values: Doubles, grid: Grid) -> NDArray[np.float32]:
    """Rows, (n,), on their places of the grid; NaN between them."""
    laid = np.full(int(grid.index[-1]) + 1, np.nan, np.float32)
    laid[grid.index] = values
    return laid


def _flags(stored: Doubles | None, power: Doubles, grid: Grid, numbers: Numbers, origin: str) -> Flags:
    """Flags on the grid: as stored, and lost where there is no power and no other reason for it."""
    told = np.zeros(len(power)) if stored is None else stored
    wrong = ~((told >= 0) & (told <= 255) & (told == np.rint(told)))
    if np.any(wrong):
        at = int(np.argmax(wrong))
        raise MeterError(
            f"{origin}, line {numbers.lines[at]}: flags of {told[at]:g}: expected a whole number, 0 to 255"
        )
    flags = np.full(int(grid.index[-1]) + 1, LOST, np.uint8)
    flags[grid.index] = np.where(np.isfinite(power) | (told > 0), told, LOST)
    return flags


def _stamps(seconds: Doubles, grid: Grid) -> Doubles:
    """(m, 2) places and the host's times of some rows; none where the file's times are the grid's own clock."""
    if not grid.by_host:
        return np.zeros((0, 2))
    rows = np.flatnonzero(np.isfinite(seconds))[::STAMP_EVERY]
    return np.stack([grid.index[rows].astype(np.float64), seconds[rows]], axis=1)
