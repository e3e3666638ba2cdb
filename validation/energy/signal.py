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
        running_missing: (n + 1,) float64, number of samples until there that were filled in.
        noise_mw: Standard deviation of the white noise, from neighbouring samples.
    """

    rate_hz: float
    power_mw: Doubles
    running_mj: Doubles
    running_missing: Doubles
    noise_mw: float

    @property
    def seconds(self) -> float:
        """Length of the signal."""
        return len(self.power_mw) / self.rate_hz

    @property
    def period_s(self) -> float:
        """Length of a sample."""
        return 1.0 / self.rate_hz

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

    def means_mw(self, starts_s: Doubles, ends_s: Doubles) -> Doubles:
        """Mean power between each start and end inside the trace, (...) s each to (...) mW; nan where it is empty."""
        first, last = np.clip(starts_s, 0.0, self.seconds), np.clip(ends_s, 0.0, self.seconds)
        length = np.where(last > first, last - first, np.nan)
        means: Doubles = (self.until_mj(last) - self.until_mj(first)) / length
        return means

    def mean_mw(self, start_s: float, end_s: float) -> float:
        """Mean power between two moments inside the trace; nan where they enclose nothing."""
        return float(self.means_mw(np.array(start_s), np.array(end_s)))

    def blocks_mw(self, start_s: float, end_s: float, block_s: float) -> Doubles:
        """Mean power of consecutive blocks between two moments, (blocks,) float64, mW; only filled ones."""
        edges = np.arange(max(0.0, start_s), min(self.seconds, end_s) + 1e-9, block_s)
        return np.diff(self.until_mj(edges)) / block_s if len(edges) > 1 else np.zeros(0)

    def missing_share(self, starts_s: Doubles, ends_s: Doubles) -> Doubles:
        """Share of each window, (n,) s each, that was filled in, (n,) float64."""
        edges = np.arange(len(self.running_missing))
        first, last = starts_s * self.rate_hz, ends_s * self.rate_hz
        lost = np.interp(last, edges, self.running_missing) - np.interp(first, edges, self.running_missing)
        share: Doubles = lost / np.maximum(last - first, 1e-12)
        return share


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
    return Signal(
        trace.rate_hz, power, _running(power) / trace.rate_hz, _running(missing.astype(np.float64)), _noise(power)
    )


def _running(values: Doubles) -> Doubles:
    """(n,) to (n + 1,): the sum until each edge."""
    running = np.zeros(len(values) + 1)
    np.cumsum(values, out=running[1:])
    return running


def _noise(power_mw: Doubles) -> float:
    """Standard deviation of the white noise in (n,) mW: differences of neighbours are blind to edges and drift."""
    step = max(1, len(power_mw) // 400_000)
    differences = power_mw[1::step] - power_mw[:-1:step][: len(power_mw[1::step])]
    return robust_sd(differences) / float(np.sqrt(2.0))


def moving_mean(values: Doubles, width: int) -> Doubles:
    """Centred mean over ``width`` (made odd) values, (n,) to (n,); narrower at both ends."""
    half = max(0, width // 2)
    if half == 0:
        return values
    running = _running(values)
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    mean: Doubles = (running[last] - running[first]) / (last - first)
    return mean
