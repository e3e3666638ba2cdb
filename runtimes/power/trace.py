"""``PowerTrace``: power on a uniform index grid, with every hole marked, as all meters hand it over.

Time is the sample index divided by ``rate_hz`` (the meter's own crystal), never the host's clock: host clocks jitter by
milliseconds. The host's stamps are kept beside the samples to check the rate, and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgevit.arrays import Array, read_arrays
from edgevit.errors import MeterError
from edgevit.records import Record, atomic_path
from edgevit.text import printable
from runtimes.power.plausible import check_finite, check_plausible

Floats = NDArray[np.floating]
Doubles = NDArray[np.float64]
Flags = NDArray[np.uint8]

LOST = 1  # the meter counted this sample, but nobody received it
CALIBRATION = 2  # the meter was calibrating itself: no measurement at this index
OVER_CURRENT = 4  # the meter reported a current limit or thermal stop
OUTPUT_OFF = 8  # the meter's supply output was off

LATE = 1.5  # periods; chosen: one missed reading makes 2, and none that was taken comes half a period late

_ARRAYS = ("power_mw", "flags", "current_ma", "voltage_v", "host_stamps")


class TraceHeader(Record):
    """What a file says beside its arrays; see ``PowerTrace``."""

    schema_version: Literal[1] = 1
    rate_hz: float
    meta: dict[str, str]


@dataclass(frozen=True, eq=False)
class PowerTrace:
    """Power over time at one supply.

    Attributes:
        rate_hz: Samples per second of the meter's clock.
        power_mw: (n,) float32 or float64, mW; NaN where there is no measurement.
        flags: (n,) uint8 bit set of ``LOST``, ``CALIBRATION``, ``OVER_CURRENT`` and ``OUTPUT_OFF``.
        current_ma: (n,) current in mA, or None for a meter that only knows power.
        voltage_v: (n,) voltage in V, or None.
        host_stamps: (m, 2) float64: sample index, host's monotonic clock in seconds when it was read.
        meta: What is known of the recording, in words (meter, serial, firmware, source file).
    """

    rate_hz: float
    power_mw: Floats
    flags: NDArray[np.uint8]
    current_ma: Floats | None = None
    voltage_v: Floats | None = None
    host_stamps: Doubles = field(default_factory=lambda: np.zeros((0, 2)))
    meta: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a trace whose arrays do not fit together, or hold what no meter can have measured."""
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise MeterError(f"a power trace needs a positive sample rate, got {self.rate_hz} Hz")
        for name in ("flags", "current_ma", "voltage_v"):
            array = getattr(self, name)
            if array is not None and array.shape != self.power_mw.shape:
                raise MeterError(f"power trace: {name} has shape {array.shape}, power_mw {self.power_mw.shape}")
        if self.power_mw.ndim != 1 or self.host_stamps.ndim != 2 or self.host_stamps.shape[1] != 2:
            raise MeterError(
                f"power trace: power_mw has shape {self.power_mw.shape} and host_stamps {self.host_stamps.shape}: "
                "expected (n,) and (m, 2)"
            )

        check_finite("power trace", power_mw=self.power_mw, current_ma=self.current_ma, voltage_v=self.voltage_v)

    @property
    def seconds(self) -> float:
        """Length of the trace on the meter's clock."""
        return len(self.power_mw) / self.rate_hz

    @property
    def lost(self) -> NDArray[np.bool_]:
        """(n,) True where a sample was lost on its way (calibration slots are not lost)."""
        lost: NDArray[np.bool_] = (self.flags & LOST) != 0
        return lost

    @property
    def lost_share(self) -> float:
        """Share of samples that were lost, 0 to 1."""
        return float(np.mean(self.lost)) if len(self.flags) else 0.0

    @property
    def over_current(self) -> bool:
        """Whether the meter ever reported its current limit."""
        return bool(np.any(self.flags & OVER_CURRENT))

    def measured_rate_hz(self) -> float | None:
        """Sample rate against the host's clock, or None with less than 2 s of host stamps."""
        stamps = self.host_stamps
        if len(stamps) < 3 or stamps[-1, 1] - stamps[0, 1] < 2.0:
            return None
        index, seconds = stamps[:, 0] - stamps[0, 0], stamps[:, 1] - stamps[0, 1]
        slope, _ = np.polyfit(seconds, index, 1)
        return float(slope)

    def save(self, path: Path) -> None:
        """Write the trace to ``path`` (``.npz``), atomically."""
        columns = {name: getattr(self, name) for name in ("power_mw", "flags", "current_ma", "voltage_v")}
        arrays = {name: array for name, array in columns.items() if array is not None}
        header = TraceHeader(rate_hz=self.rate_hz, meta=self.meta)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, header=np.array(header.to_json()), host_stamps=self.host_stamps, **arrays)

    @classmethod
    def load(cls, path: Path) -> PowerTrace:
        """Read a trace written by ``save``.

        Raises:
            MeterError: The file is missing, damaged, or not a power trace.
        """
        arrays = read_arrays(path, what="power trace", failure=MeterError)
        try:
            trace = cls._of(arrays)
        except MeterError as error:
            raise MeterError(f"{printable(str(path))} is not a power trace: {error.message}") from error
        check_plausible(
            str(path), rate_hz=trace.rate_hz, power_mw=trace.power_mw, current_ma=trace.current_ma,
            voltage_v=trace.voltage_v,
        )  # fmt: skip
        return trace

    @classmethod
    def _of(cls, arrays: dict[str, NDArray[np.generic]]) -> PowerTrace:
        """The trace in the arrays of a file."""
        if missing := {"header", "power_mw", "flags", "host_stamps"} - arrays.keys():
            raise MeterError(f"it has no {', '.join(sorted(missing))}")
        if surplus := arrays.keys() - {"header", *_ARRAYS}:
            raise MeterError(f"it holds {printable(', '.join(sorted(surplus)))} as well")
        header = TraceHeader.from_json(str(arrays["header"]), origin="its header", failure=MeterError)
        power, stamps = _floats(arrays, "power_mw"), _floats(arrays, "host_stamps")
        flags = arrays["flags"]
        if not np.issubdtype(flags.dtype, np.integer) or np.any((flags < np.int8(0)) | (flags > np.int16(255))):
            raise MeterError("flags are not whole numbers of 0 to 255")
        if not np.isfinite(stamps).all():
            raise MeterError("a host stamp is not finite")
        current, voltage = (_floats(arrays, name) if name in arrays else None for name in ("current_ma", "voltage_v"))
        return cls(
            header.rate_hz, power, flags.astype(np.uint8), current, voltage, stamps.astype(np.float64), header.meta
        )


def _floats(arrays: dict[str, Array], name: str) -> Floats:
    array = arrays[name]
    if not np.issubdtype(array.dtype, np.floating):
        raise MeterError(f"{name} holds {array.dtype}, expected floating point")
    return array.astype(array.dtype.type, copy=False)


def from_readings(
    seconds: Doubles,
    power_mw: Doubles,
    *,
    rate_hz: float,
    period_s: float,
    current_ma: Doubles | None = None,
    voltage_v: Doubles | None = None,
    meta: dict[str, str] | None = None,
) -> PowerTrace:
    """Put instantaneous readings at irregular times on a uniform grid: linear between readings, lost in their holes.

    Args:
        seconds: (n,) float64 times of the readings in s, increasing.
        power_mw: (n,) power at these times, mW.
        rate_hz: Rate of the grid.
        period_s: Time from one reading to the next; where it took more than 1.5 times as long, readings are missing.
        current_ma: (n,) mA, or None.
        voltage_v: (n,) V, or None.
        meta: Kept in the trace.

    Raises:
        MeterError: Fewer than two readings.
    """
    told = _anchored(seconds, rate_hz, period_s, meta)
    grid = np.arange(seconds[0], seconds[-1], 1.0 / rate_hz)
    lost = _in_holes(grid, grid, seconds, period_s)
    laid = [
        None if values is None else np.where(lost, np.nan, np.interp(grid, seconds, values))
        for values in (power_mw, current_ma, voltage_v)
    ]
    assert laid[0] is not None
    return PowerTrace(rate_hz, laid[0], np.where(lost, LOST, 0).astype(np.uint8), laid[1], laid[2], *told)


def from_counter(
    seconds: Doubles,
    energy_mj: Doubles,
    *,
    rate_hz: float,
    period_s: float,
    meta: dict[str, str] | None = None,
) -> PowerTrace:
    """Put readings of a cumulative energy counter on a uniform grid; the energy between readings is kept exactly.

    In a hole the counter has lost its resolution and no energy: samples there are flagged as lost, and hold the mean.

    Args:
        seconds: (n,) float64 times of the readings in s, increasing.
        energy_mj: (n,) the counter at these times, mJ.
        rate_hz: Rate of the grid.
        period_s: Time from one reading to the next; where it took more than 1.5 times as long, readings are missing.
        meta: Kept in the trace.

    Raises:
        MeterError: Fewer than two readings, or a counter that went backwards.
    """
    told = _anchored(seconds, rate_hz, period_s, meta)
    if np.any(np.diff(energy_mj) < 0):
        where = int(np.argmax(np.diff(energy_mj) < 0))
        raise MeterError(
            f"energy counter went backwards after reading {where}: {energy_mj[where]} to {energy_mj[where + 1]} mJ"
        )
    edges = np.arange(seconds[0], seconds[-1] + 0.5 / rate_hz, 1.0 / rate_hz)
    power = np.diff(np.interp(edges, seconds, energy_mj)) * rate_hz
    lost = _in_holes(edges[:-1], edges[1:], seconds, period_s)
    return PowerTrace(rate_hz, power, np.where(lost, LOST, 0).astype(np.uint8), None, None, *told)


def _anchored(
    seconds: Doubles, rate_hz: float, period_s: float, meta: dict[str, str] | None
) -> tuple[Doubles, dict[str, str]]:
    """``host_stamps`` and ``meta`` of readings at ``seconds``, (n,).

    The host's clock is the grid's own: two stamps say where the grid lies, and that there is no rate to check.
    """
    if len(seconds) < 2:
        raise MeterError(f"a power trace needs at least 2 readings, got {len(seconds)}")
    if np.any(np.diff(seconds) <= 0):
        at = int(np.argmax(np.diff(seconds) <= 0))
        raise MeterError(f"time of readings does not advance: {seconds[at]} s, then {seconds[at + 1]} s")
    ends = seconds[[0, -1]]
    late = int(np.sum(np.diff(seconds) > LATE * period_s))
    return np.stack([(ends - ends[0]) * rate_hz, ends], axis=1), {
        **(meta or {}), "readings": str(len(seconds)), "late readings": str(late)
    }  # fmt: skip


def _in_holes(starts: Doubles, ends: Doubles, seconds: Doubles, period_s: float) -> NDArray[np.bool_]:
    """(m,) whether what lies from ``starts`` to ``ends``, (m,) s, touches a hole in readings at ``seconds``, (n,)."""
    opened = np.flatnonzero(np.diff(seconds) > LATE * period_s)
    rounding_s = 1e-6 * period_s
    first = np.searchsorted(seconds[opened + 1], starts + rounding_s)  # the first hole that ends after the start
    begins = np.append(seconds[opened], np.inf)
    inside: NDArray[np.bool_] = begins[first] < ends - rounding_s
    return inside
