"""The power signal that energy analysis works on: holes filled, integrals between any two moments in O(1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import FailureError
from runtimes.power.trace import PowerTrace
from validation.statistics import robust_sd

MIN_SAMPLES = 100  # chosen: 20 ms at 5 kHz, less than any run
MAX_MISSING = 0.5  # chosen: what is mostly filled in is no recording; the verdict allows far less

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Signal:
    """Power in mW at ``rate_hz`` without holes, and its running integral in mJ.

    Attributes:
        rate_hz: Samples per second.
        power_mw: (n,) float64; holes are filled linearly.
        running_mj: (n + 1,) float64, energy from the start until the edge of each sample.
        missing: (n,) bool, True where the value was filled in.
        noise_mw: Standard deviation of the white noise, from neighbouring samples.
    """

    rate_hz: float
    power_mw: Doubles
    running_mj: Doubles
    missing: Bools
    noise_mw: float

    @property
    def seconds(self) -> float:
        """Length of the signal."""
        return len(self.power_mw) / self.rate_hz

    def until_mj(self, seconds: Doubles) -> Doubles:
        """Energy in mJ from the start of the trace until each of ``seconds``, (...) float64 to (...).

        Power is constant within a sample.
        """
        position = np.clip(seconds * self.rate_hz, 0.0, len(self.power_mw))
        index = np.minimum(position.astype(np.int64), len(self.power_mw) - 1)
        energy: Doubles = self.running_mj[index] + (position - index) * (self.power_mw[index] / self.rate_hz)
        return energy

    def energy_mj(self, starts_s: Doubles, ends_s: Doubles) -> Doubles:
        """Energy between each start and end, background included: (n,) s each to (n,) mJ."""
        return self.until_mj(ends_s) - self.until_mj(starts_s)

    def mean_mw(self, start_s: float, end_s: float) -> float:
        """Mean power between two moments inside the trace; nan where they enclose nothing."""
        first, last = max(0.0, start_s), min(self.seconds, end_s)
        if last <= first:
            return float("nan")
        return float(self.energy_mj(np.array([first]), np.array([last]))[0] / (last - first))

    def blocks_mw(self, start_s: float, end_s: float, block_s: float) -> Doubles:
        """Mean power of consecutive blocks between two moments, (blocks,) float64, mW; only filled ones."""
        edges = np.arange(max(0.0, start_s), min(self.seconds, end_s) + 1e-9, block_s)
        return np.diff(self.until_mj(edges)) / block_s if len(edges) > 1 else np.zeros(0)

    def longest_hole_s(self, starts_s: Doubles, ends_s: Doubles) -> Doubles:
        """For each window, (n,) s each, the longest run of filled-in samples that touches it, (n,) float64, s."""
        padded = np.concatenate(([False], self.missing, [False]))
        edges = np.flatnonzero(padded[1:] != padded[:-1])
        holes = edges.reshape(-1, 2) / self.rate_hz
        longest = np.zeros(len(starts_s))
        if not len(holes):
            return longest
        first = np.searchsorted(holes[:, 1], starts_s, side="right")
        last = np.searchsorted(holes[:, 0], ends_s, side="left")
        for index, (a, b) in enumerate(zip(first, last, strict=True)):
            if b > a:
                longest[index] = float(np.max(holes[a:b, 1] - holes[a:b, 0]))
        return longest


def signal_of(trace: PowerTrace) -> Signal:
    """Fill the holes of ``trace`` and integrate it.

    Raises:
        FailureError: Hardly anything in the trace was measured.
    """
    power = trace.power_mw.astype(np.float64)
    missing = ~np.isfinite(power)
    if len(power) < MIN_SAMPLES or float(np.mean(missing)) > MAX_MISSING:
        raise FailureError(
            f"the power trace holds {len(power)} samples of which {int(np.sum(missing))} are missing: nothing to "
            "analyse",
            hint="record the run again; a trace starts seconds before the run and ends seconds after it",
        )
    if np.any(missing):
        where = np.flatnonzero(~missing)
        power[missing] = np.interp(np.flatnonzero(missing), where, power[where])
    running = np.empty(len(power) + 1)
    running[0] = 0.0
    np.cumsum(power, out=running[1:])
    running /= trace.rate_hz
    return Signal(trace.rate_hz, power, running, missing, _white_noise(power))


def _white_noise(power_mw: Doubles) -> float:
    """Standard deviation of the white noise in (n,) mW: differences of neighbours are blind to edges and drift."""
    step = max(1, len(power_mw) // 400_000)
    differences = power_mw[1::step] - power_mw[:-1:step][: len(power_mw[1::step])]
    return robust_sd(differences) / float(np.sqrt(2.0))


def moving_mean(values: Doubles, width: int) -> Doubles:
    """Centred mean over ``width`` (made odd) values, (n,) to (n,); narrower at both ends."""
    half = max(0, width // 2)
    if half == 0:
        return values
    running = np.concatenate(([0.0], np.cumsum(values)))
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    mean: Doubles = (running[last] - running[first]) / (last - first)
    return mean
