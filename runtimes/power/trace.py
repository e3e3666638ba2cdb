"""``PowerTrace``: power on a uniform index grid, with every hole marked, as all meters hand it over.

Time is the sample index divided by ``rate_hz`` (the meter's own crystal), never the host's clock: host clocks jitter by
milliseconds. The host's stamps are kept beside the samples to check the rate, and for nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import MeterError
from edgevit.records import atomic_path

Floats = NDArray[np.floating]
Doubles = NDArray[np.float64]

LOST = 1  # the meter counted this sample, but nobody received it
CALIBRATION = 2  # the meter was calibrating itself: no measurement at this index
OVER_CURRENT = 4  # the meter reported a current limit or thermal stop
OUTPUT_OFF = 8  # the meter's supply output was off

SCHEMA_VERSION = 1


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
        """Refuse a trace whose arrays do not fit together."""
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise MeterError(f"a power trace needs a positive sample rate, got {self.rate_hz} Hz")
        for name in ("flags", "current_ma", "voltage_v"):
            array = getattr(self, name)
            if array is not None and array.shape != self.power_mw.shape:
                raise MeterError(f"power trace: {name} has shape {array.shape}, power_mw {self.power_mw.shape}")

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
        header = {"schema_version": SCHEMA_VERSION, "rate_hz": self.rate_hz, "meta": self.meta}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), host_stamps=self.host_stamps, **arrays)

    @classmethod
    def load(cls, path: Path) -> PowerTrace:
        """Read a trace written by ``save``.

        Raises:
            MeterError: The file is missing, damaged, or not a power trace.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(str(arrays.pop("header")))
            if header["schema_version"] != SCHEMA_VERSION:
                raise MeterError(
                    f"{path}: power trace of version {header['schema_version']}, expected {SCHEMA_VERSION}"
                )
            return cls(rate_hz=float(header["rate_hz"]), meta=dict(header["meta"]), **arrays)
        except OSError as error:
            raise MeterError(f"cannot read the power trace {path}: {error.strerror or error}") from error
        except (KeyError, ValueError, TypeError, EOFError, BadZipFile) as error:
            raise MeterError(f"{path} is not a power trace: {error}") from error


def from_readings(
    seconds: Doubles,
    power_mw: Doubles,
    *,
    rate_hz: float,
    current_ma: Doubles | None = None,
    voltage_v: Doubles | None = None,
    meta: dict[str, str] | None = None,
) -> PowerTrace:
    """Put instantaneous readings at irregular times on a uniform grid (linear between readings).

    Args:
        seconds: (n,) float64 times of the readings in s, increasing.
        power_mw: (n,) power at these times, mW.
        rate_hz: Rate of the grid.
        current_ma: (n,) mA, or None.
        voltage_v: (n,) V, or None.
        meta: Kept in the trace.

    Raises:
        MeterError: Fewer than two readings.
    """
    stamps = _host_stamps(seconds, rate_hz)
    grid = np.arange(seconds[0], seconds[-1], 1.0 / rate_hz)
    power = np.interp(grid, seconds, power_mw)
    current, voltage = (
        None if values is None else np.interp(grid, seconds, values) for values in (current_ma, voltage_v)
    )
    return PowerTrace(rate_hz, power, np.zeros(len(grid), np.uint8), current, voltage, stamps, dict(meta or {}))


def from_counter(
    seconds: Doubles, energy_mj: Doubles, *, rate_hz: float, meta: dict[str, str] | None = None
) -> PowerTrace:
    """Put readings of a cumulative energy counter on a uniform grid; the energy between readings is kept exactly.

    Args:
        seconds: (n,) float64 times of the readings in s, increasing.
        energy_mj: (n,) the counter at these times, mJ.
        rate_hz: Rate of the grid.
        meta: Kept in the trace.

    Raises:
        MeterError: Fewer than two readings, or a counter that went backwards.
    """
    stamps = _host_stamps(seconds, rate_hz)
    if np.any(np.diff(energy_mj) < 0):
        where = int(np.argmax(np.diff(energy_mj) < 0))
        raise MeterError(
            f"energy counter went backwards after reading {where}: {energy_mj[where]} to {energy_mj[where + 1]} mJ"
        )
    edges = np.arange(seconds[0], seconds[-1] + 0.5 / rate_hz, 1.0 / rate_hz)
    power = np.diff(np.interp(edges, seconds, energy_mj)) * rate_hz
    return PowerTrace(rate_hz, power, np.zeros(len(power), np.uint8), host_stamps=stamps, meta=dict(meta or {}))


def _host_stamps(seconds: Doubles, rate_hz: float) -> Doubles:
    """(n, 2) ``host_stamps`` for readings at ``seconds``, (n,)."""
    if len(seconds) < 2:
        raise MeterError(f"a power trace needs at least 2 readings, got {len(seconds)}")
    return np.stack([(seconds - seconds[0]) * rate_hz, seconds], axis=1)
