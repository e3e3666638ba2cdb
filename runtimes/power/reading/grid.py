"""Time stamps to a uniform grid: the rate, and where rows are missing.

Clean stamps tell both: each lies a whole number of periods behind the one before. Stamps that several rows share, or
that jitter (a host's clock at the arrival of a packet), tell neither; there only the number of rows against their span
can be held against a rate that is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import MeterError

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

MONSOON_HZ = 5000.0  # the HVPM's, as RATE_HZ of ``monsoon_packets``; its tools also keep one sample of k
UNCLEAR = 0.3  # of a period; chosen: at a half a step could be one period more or less
STRIDE = 32  # rows over which a rounded period is averaged
MIN_SHARED = 0.2  # of the rows: what is rounded or comes in packets repeats all over, a doubled row here and there
MIN_REPEATS = 10  # chosen: fewer tell no distance
RARELY = 0.2  # chosen: a recording that lost more is worth little
MAX_MISSING = 0.5  # chosen, as MAX_MISSING of ``validation.energy.signal``: what is mostly filled in is no recording
MAX_RATE_ERROR = 0.001  # five times what two quartz clocks at their worst differ by; calibration slots take 0.0003
QUEUE_S = 0.0032  # the HVPM queues 16 samples: a packet that is later has lost some
MAX_LATE_S = 0.005  # the queue, and what a host takes to read its clock
SHORTEST_S, LONGEST_S = 1e-6, 1e9  # chosen: what is beyond is no time of a recording in any unit, and breaks sums
SAME_RATE = 5e-6  # below what any quartz holds (20 ppm): the round rate is meant


@dataclass(frozen=True, eq=False)
class Grid:
    """Where rows lie in time.

    Attributes:
        rate_hz: Places of the grid in a second.
        index: (rows,) int64, the place of each row, rising; what is between them is missing.
        by_host: Whether the stamps are another clock than that of the rows.
    """

    rate_hz: float
    index: Integers
    by_host: bool = False

    @property
    def missing(self) -> float:
        """Share of the grid's places without a row, 0 to 1."""
        return 1 - len(self.index) / (int(self.index[-1]) + 1)


def place(seconds: Doubles, lines: Integers, origin: str, *, packets: bool) -> Grid:
    """Lay rows on a grid.

    Args:
        seconds: (rows,) float64 times in s; NaN where a row has none.
        lines: (rows,) the rows' lines in the file, for messages.
        origin: The file, for messages.
        packets: Whether several rows are known to share a stamp.

    Raises:
        MeterError: Times that fall or repeat (with the line), or that do not tell where rows are missing.
    """
    since = _filled(seconds, lines, origin) - seconds[0]
    steps = np.diff(since)
    if not SHORTEST_S <= since[-1] <= LONGEST_S:
        raise MeterError(
            f"{origin}: time does not advance from the first sample ({seconds[0]:g} s) to the last ({seconds[-1]:g} s) "
            "as it has to"
        )
    repeats = _refused(steps, since, lines, origin, packets=packets)
    grid = None if repeats else _by_steps(since, steps)
    if grid is None or _may_be_rounding(grid):
        grid = (None if repeats else _by_phase(since)) or _by_number(since, steps) or grid
    if grid is None:
        raise _unclear(since, origin)
    if grid.missing > MAX_MISSING:
        at = int(np.argmax(steps))
        raise MeterError(
            f"{origin}: {len(since)} rows for {grid.index[-1] + 1} samples at {grid.rate_hz:.6g} Hz: more than half "
            f"are missing, the most ({steps[at]:.4g} s) before line {lines[at + 1]}",
            hint="give one recording, without what lies far beside it",
        )
    return grid


def _filled(seconds: Doubles, lines: Integers, origin: str) -> Doubles:
    """Times of rows that have none: between those of their neighbours."""
    known = np.isfinite(seconds)
    if not (known[0] and known[-1]):
        raise MeterError(
            f"{origin}, line {lines[-1 if known[0] else 0]}: a row without its time",
            hint="what is no sample (totals, remarks) has to go, or to begin with #",
        )
    rows = np.arange(len(seconds))
    return seconds if known.all() else np.interp(rows, rows[known], seconds[known])


def _refused(steps: Doubles, since: Doubles, lines: Integers, origin: str, *, packets: bool) -> bool:
    """Whether times repeat all over, as they may; refuses times that fall, and those that repeat here and there."""
    if np.any(steps < 0):
        at = int(np.argmax(steps < 0))
        raise MeterError(
            f"{origin}, line {lines[at + 1]}: time runs backwards, from {since[at]:.6f} to {since[at + 1]:.6f} s after "
            "the first row",
            hint="give one recording, as it was written",
        )
    repeated = np.flatnonzero(steps == 0)
    if len(repeated) and not (packets or _is_rounding(repeated, len(steps))):
        raise MeterError(
            f"{origin}, line {lines[repeated[0] + 1]}: the same time as the row before", hint="take doubled rows out"
        )
    return len(repeated) > 0


def _is_rounding(repeated: Integers, count: int) -> bool:
    """Whether rows ``repeated``, (k,) of ``count``, repeat a time because it is rounded: often, or evenly."""
    if len(repeated) >= MIN_SHARED * count or len(repeated) < MIN_REPEATS:
        return len(repeated) >= MIN_SHARED * count
    few, many = np.quantile(np.diff(repeated), (0.1, 0.9))
    return bool(many - few <= 1)


def _by_steps(since: Doubles, steps: Doubles) -> Grid | None:
    """By whole numbers of periods between neighbours; None where one is not near a whole number."""
    for first in (float(np.median(steps)), _typical_period(since)):
        period = first
        for _ in range(3):  # the mean of single steps is far finer than what they are rounded to
            single = steps[np.abs(steps / period - 1) < 0.75]
            period = float(single.mean()) if len(single) else period
        counts = np.rint(steps / period)
        if counts.min() >= 1 and np.abs(steps / period - counts).max() <= UNCLEAR:
            return _fitted(since, np.concatenate(([0], np.cumsum(counts))).astype(np.int64))
    return None


def _by_phase(since: Doubles) -> Grid | None:
    """By the distance from a line through all rows before, which single late rows do not shift; None where unclear."""
    period, offset, size = _typical_period(since), 0.0, STRIDE
    while True:
        index = np.rint((since[:size] - offset) / period)
        if index[0] == index[-1]:
            return None
        centred = index - index.mean()
        period = float(centred @ since[:size] / (centred @ centred))
        offset = float(since[:size].mean() - period * index.mean())
        if size >= len(since):
            break
        size *= 2
    off = np.abs(since - offset - period * index).max() / period
    if np.diff(index).min() < 1 or off > 0.5 - UNCLEAR / 2:
        return None
    return _fitted(since, (index - index[0]).astype(np.int64))


def _may_be_rounding(grid: Grid) -> bool:
    """Whether the holes may be no holes: the times of 7 kHz in steps of 0.1 ms are one or two steps apart."""
    return grid.missing > RARELY and float(np.mean(np.diff(grid.index) <= 2)) > 0.95


def _typical_period(since: Doubles) -> float:
    """Mean period over some rows, where there are few holes: a quarter of the places may be without one."""
    stride = min(STRIDE, len(since) - 1)
    return float(np.quantile(since[stride:] - since[:-stride], 0.25)) / stride


def _by_number(since: Doubles, steps: Doubles) -> Grid | None:
    """Row after row, where the stamps leave no room for a missing one, or their number fits a rate that is known."""
    grid = _fitted(since, np.arange(len(since)))
    line = grid.index / grid.rate_hz
    off = since - line
    late_s = float(np.abs(off - off.mean()).max())
    shortest = float(steps[steps > SHORTEST_S / len(since)].min())
    rounded = np.abs(steps / shortest - np.rint(steps / shortest)).max() < 0.01
    if late_s <= max(1 / grid.rate_hz, 0.51 * shortest if rounded else 0.0):
        return Grid(grid.rate_hz, grid.index, by_host=True)
    known = MONSOON_HZ / max(1, round(MONSOON_HZ / grid.rate_hz))
    if late_s > MAX_LATE_S or abs(grid.rate_hz / known - 1) > MAX_RATE_ERROR + QUEUE_S / float(since[-1]):
        return None
    return Grid(grid.rate_hz, grid.index, by_host=True)


def _fitted(since: Doubles, index: Integers) -> Grid:
    """The grid whose rate is the slope of times, (rows,) s, over their places, (rows,); a round one if it is that."""
    centred = index - index.mean()
    squares = float(centred @ centred)
    period = float(centred @ since / squares)
    scatter = float(np.std(since - period * index))
    rate = 1.0 / period
    same = min(MAX_RATE_ERROR, SAME_RATE + 3 * scatter / period / float(np.sqrt(squares)))  # 3 standard errors
    for meant in (MONSOON_HZ / max(1, round(MONSOON_HZ / rate)), round(rate)):
        if meant and abs(rate / meant - 1) < same:
            return Grid(float(meant), index)
    return Grid(rate, index)


def _unclear(since: Doubles, origin: str) -> MeterError:
    rate = (len(since) - 1) / float(since[-1])
    return MeterError(
        f"{origin}: {len(since)} rows in {since[-1]:.3f} s ({rate:.1f} Hz) whose times jitter or repeat: expected "
        f"5000 / k a second within {MAX_RATE_ERROR:.1%}, none more than {MAX_LATE_S * 1e3:.0f} ms off; samples are "
        "missing, and nothing says where",
        hint="write times with more digits, or record with `bench --energy monsoon`, which marks what is lost",
    )
