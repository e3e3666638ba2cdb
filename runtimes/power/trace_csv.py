"""Power traces as CSV: our own layout, and those of Monsoon's tools and of FAI-PEP.

PyMonsoon's engine writes ``Time(ms),Main(mA),...,Main Voltage(V),`` for the channels that are on; the times are
seconds whatever the heading says, are the host's clock, and several samples share one. Under numpy 2 it writes
``np.float64(0.0010)`` instead of numbers; these are read as well. PowerTool exports ``Time (s)``, ``Main Avg Current
(mA)``, ``Main Avg Voltage (V)``, ``Main Avg Power (mW)``. FAI-PEP writes ``time, current, voltage, usb_current,
usb_voltage, total_power``. Since such times jitter, samples are laid on a grid of the nearest rate 5000 / k Hz.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from edgevit.errors import MeterError
from edgevit.records import atomic_path
from runtimes.power.monsoon_packets import RATE_HZ as MONSOON_HZ
from runtimes.power.trace import LOST, Doubles, PowerTrace

OURS = ("time_s", "current_ma", "voltage_v", "power_mw", "flags")
STAMP_EVERY = 500  # chosen, because ten stamps a second tell the rate as well as all of them
_NUMPY_REPR = re.compile(rb"np\.float(?:64|32)\(([^)]*)\)")


@dataclass(frozen=True)
class Layout:
    """Which heading (lower case, without blanks) holds what; ``power`` is preferred over current times voltage."""

    name: str
    time: str
    current: str
    voltage: str
    power: str | None = None


LAYOUTS = (
    Layout("edgevit-export", "time_s", "current_ma", "voltage_v", "power_mw"),
    Layout("PyMonsoon", "time(ms)", "main(ma)", "mainvoltage(v)"),
    Layout("PowerTool", "time(s)", "mainavgcurrent(ma)", "mainavgvoltage(v)", "mainavgpower(mw)"),
    Layout("PowerTool", "time(s)", "maincurrent(ma)", "mainvoltage(v)", "mainpower(mw)"),
    Layout("FAI-PEP", "time", "current", "voltage", "total_power"),
)


def write_csv(trace: PowerTrace, path: Path) -> None:
    """Write ``trace`` in our own layout, atomically; empty cells where nothing was measured."""
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


def read_trace(path: Path) -> PowerTrace:
    """Read a power trace from ``.npz`` or from CSV in any layout named above.

    Raises:
        MeterError: No such file, an unknown layout, or a line that cannot be read.
    """
    if path.suffix.lower() == ".npz":
        return PowerTrace.load(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MeterError(f"cannot read the power trace {path}: {error.strerror}") from error
    header, _, body = data.partition(b"\n")
    names = [cell.strip().strip('"') for cell in header.decode("utf-8-sig", "replace").strip().rstrip(",").split(",")]
    layout = _layout_of(names, path)
    table = _numbers(body, len(names), path)
    if len(table) < 2:
        raise MeterError(f"{path}: {len(table)} samples, a power trace needs at least 2")
    return _trace(table, names, layout, path)


def _plain(name: str) -> str:
    return name.replace(" ", "").lower()


def _layout_of(names: list[str], path: Path) -> Layout:
    plain = [_plain(name) for name in names]
    for layout in LAYOUTS:
        powered = layout.power in plain or (layout.current in plain and layout.voltage in plain)
        if layout.time in plain and powered:
            return layout
    known = "; ".join(f"{layout.name}: {layout.time}, {layout.current}, {layout.voltage}" for layout in LAYOUTS)
    raise MeterError(
        f"{path}: the heading '{', '.join(names)[:200]}' is of no known power trace",
        hint=f"known headings: {known}",
    )


def _numbers(body: bytes, columns: int, path: Path) -> Doubles:
    """(rows, columns) of all numbers; in C where every cell holds one."""
    if b"np.float" in body:
        body = _NUMPY_REPR.sub(rb"\1", body)
    body = body.replace(b"\r\n", b"\n").replace(b" ", b"").rstrip(b",\n")
    if not body:
        return np.zeros((0, columns))
    if b"\n\n" not in body:  # numpy would skip an empty line, which is a gap
        with suppress(ValueError):
            return np.loadtxt(BytesIO(body), delimiter=",", comments=None, usecols=range(columns), ndmin=2)
    return _carefully(body, columns, path)


def _carefully(body: bytes, columns: int, path: Path) -> Doubles:
    """(rows, columns), row by row: empty cells are gaps, anything else that is no number is an error with its line."""
    table: list[list[float]] = []
    for number, line in enumerate(body.split(b"\n"), start=2):
        cells = line.replace(b'"', b"").split(b",")
        if len(cells) < columns:
            cells += [b""] * (columns - len(cells))
        try:
            table.append([float(cell) if cell else np.nan for cell in cells[:columns]])
        except ValueError as error:
            shown = line.decode("utf-8", "replace")[:120]
            raise MeterError(f"{path}, line {number}: '{shown}' is not a row of {columns} numbers") from error
    return np.array(table, np.float64).reshape(-1, columns)


def _trace(table: Doubles, names: list[str], layout: Layout, path: Path) -> PowerTrace:
    """The trace in a table, (n, columns), whose columns ``names`` tells."""
    column = {_plain(name): table[:, index] for index, name in enumerate(names)}
    seconds = column[layout.time]
    if layout.name == "PyMonsoon" and _is_milliseconds(seconds):
        seconds = seconds / 1e3  # the heading's word, taken literally by someone
    current, voltage = column.get(layout.current), column.get(layout.voltage)
    power = column.get(layout.power) if layout.power else None
    if power is None:
        assert current is not None and voltage is not None
        power = current * voltage
    stored = column.get("flags")
    flags = stored.astype(np.uint8) if stored is not None else np.where(np.isfinite(power), 0, LOST).astype(np.uint8)
    rate_hz = _rate(seconds, layout, path)
    index = np.arange(0, len(seconds), STAMP_EVERY)
    return PowerTrace(
        rate_hz=rate_hz,
        power_mw=power.astype(np.float32),
        flags=flags,
        current_ma=None if current is None else current.astype(np.float32),
        voltage_v=None if voltage is None else voltage.astype(np.float32),
        host_stamps=np.stack([index.astype(np.float64), seconds[index]], axis=1),
        meta={"meter": f"CSV of {layout.name}", "source": str(path)},
    )


def _is_milliseconds(seconds: Doubles) -> bool:
    """Whether the times, (n,), only make sense as ms: 5000 samples in 1000 of them."""
    span = float(seconds[-1] - seconds[0])
    return span > 0 and abs((len(seconds) - 1) / span * 1e3 / MONSOON_HZ - 1) < 0.02


def _rate(seconds: Doubles, layout: Layout, path: Path) -> float:
    """Sample rate in Hz of the times, (n,) s, by their number and span."""
    span = float(seconds[-1] - seconds[0])
    if not (np.isfinite(span) and span > 0):
        raise MeterError(
            f"{path}: time does not advance from the first sample ({seconds[0]}) to the last ({seconds[-1]})"
        )
    measured = (len(seconds) - 1) / span
    nearest = MONSOON_HZ / max(1, round(MONSOON_HZ / measured))
    if abs(measured / nearest - 1) < 0.02:
        return nearest
    if layout.name == "edgevit-export":
        return measured
    raise MeterError(
        f"{path}: {measured:.1f} samples a second, expected 5000 / k: samples are missing, and nothing says where",
        hint="record again with `bench --energy monsoon`, which keeps the place of lost samples",
    )
