"""All that the checks on an energy figure look at, and what several of them need from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import PowerTrace
from validation.energy.alignment import Alignment, busy_windows
from validation.energy.estimate import Estimate
from validation.energy.model import LEAST_PAD_S, PAD_SHARE, Model
from validation.energy.signal import Bools, Doubles, Signal

IDLE_S = 4.0  # at most this much idle on each side is looked at: beyond it the device did something else
IDLE_GUARD_S = 0.05  # kept away from the outermost busy moments: a tail of some 50 ms is usual
MANY_VALUES = 0.2  # of the samples: a converter with so many different values has no step that matters
IDLE_AFTER_S = 0.5  # the same behind the last pulse, all cores of which have to come to rest
AFTER_LOADING_S = 0.5  # chosen: what a device takes to come to rest after it loaded a model


@dataclass(frozen=True, eq=False)
class Evidence:
    """A recording and what was made of it; all moments are s on the trace's clock."""

    trace: PowerTrace
    signal: Signal
    stamps: RunStamps
    alignment: Alignment
    model: Model
    estimate: Estimate

    @cached_property
    def power_mw(self) -> float:
        """Mean power of the inferences above background."""
        bursts, used = self.model.bursts, self.estimate.used
        return float(bursts.energy_mj[used].sum() / bursts.durations_s[used].sum())

    @cached_property
    def busy(self) -> tuple[Doubles, Doubles]:
        """Starts and ends, (m,) s each, of all that was stamped as busy, by time."""
        return self.alignment.to_trace(busy_windows(self.stamps))

    @property
    def windows(self) -> tuple[Window, ...]:
        """Bursts and controls by time, on the device's clock."""
        return tuple(sorted((*self.stamps.bursts, *self.stamps.controls), key=lambda window: window.start_ns))

    @cached_property
    def idle(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Start and end in s of the idle before the run and of the one after, without what else the runner did."""
        first, last = float(self.busy[0][0]), float(self.busy[1][-1])
        starts, ends = self.alignment.to_trace(self.stamps.other)
        before, after = ends[ends <= first + 1e-3], starts[starts >= last - 1e-3]
        low = max(0.0, first - IDLE_S, float(before.max(initial=-np.inf)) + AFTER_LOADING_S)
        high = min(self.signal.seconds, last + IDLE_S, float(after.min(initial=np.inf)) - 0.01)
        return (low, first - IDLE_GUARD_S), (last + min(IDLE_AFTER_S, (high - last) / 4), high)

    @cached_property
    def typical_s(self) -> float:
        """Median length of the shortest kind of burst."""
        bursts = self.model.bursts
        return float(np.median(bursts.durations_s[bursts.counts == bursts.counts.min()]))

    @cached_property
    def step_mw(self) -> float:
        """Smallest step between values that the meter told; 0 where there are as many values as samples.

        The most frequent value does not count as samples: a meter that shows no less tells it again and again.
        """
        values, counts = np.unique(self.trace.power_mw[np.isfinite(self.trace.power_mw)], return_counts=True)
        if len(values) > MANY_VALUES * (counts.sum() - counts.max()):
            return 0.0
        return float(np.percentile(np.diff(values), 10.0))

    @property
    def largest_pad_s(self) -> float:
        """The pad where the clocks' fit is as far off as it may be."""
        return self.signal.period_s + max(LEAST_PAD_S, PAD_SHARE * float(self.model.bursts.durations_s.min()))

    @cached_property
    def in_bursts(self) -> Bools:
        """(samples,) bool, True within the bursts, a sample away from their edges."""
        return self.inside(self.model.bursts.starts_s, self.model.bursts.ends_s)

    @cached_property
    def in_gaps(self) -> Bools:
        """(samples,) bool, True within the gaps, a sample away from their edges."""
        return self.inside(self.model.gaps.starts_s, self.model.gaps.ends_s)

    def inside(self, starts: Doubles, ends: Doubles) -> Bools:
        """(samples,) bool, True where a sample lies within one of the windows, (n,) s each, and was measured."""
        count = len(self.signal.power_mw)
        first = np.clip(np.ceil(starts * self.signal.rate_hz) + 1, 0, count).astype(np.int64)
        last = np.clip(np.floor(ends * self.signal.rate_hz) - 1, 0, count).astype(np.int64)
        steps = np.zeros(count + 1)
        valid = last > first
        np.add.at(steps, first[valid], 1.0)
        np.add.at(steps, last[valid], -1.0)
        within: Bools = (np.cumsum(steps[:-1]) > 0) & (np.diff(self.signal.running_missing) == 0)
        return within

    def shares(self, starts: Doubles, ends: Doubles, mask: Bools) -> Doubles:
        """Share of the samples in each window, (n,) s each, that ``mask``, (samples,), holds: (n,) float64."""
        count = len(mask)
        running = np.concatenate(([0.0], np.cumsum(mask)))
        first = np.clip(np.ceil(starts * self.signal.rate_hz), 0, count).astype(np.int64)
        last = np.clip(np.floor(ends * self.signal.rate_hz), 0, count).astype(np.int64)
        share: Doubles = (running[last] - running[first]) / np.maximum(last - first, 1)
        return share

    def excess_mw(self, starts: Doubles, ends: Doubles) -> Doubles:
        """Mean power above background between each start and end, (...) s each to (...) mW."""
        return self.signal.means_mw(starts, ends) - self.model.background_mw((starts + ends) / 2)
