"""The statistics of repeated measurements: numpy only, seeded, pure functions on arrays.

Samples come in rounds. Runs of one round share a process, a temperature and a neighbourhood, so they are not
independent: the bootstrap draws whole rounds first and runs within them second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgevit.records import Record

Floats = NDArray[np.float64]

RESAMPLES = 2000  # chosen: a 95 % interval's ends then rest on 50 draws each
CONFIDENCE = 0.95
MAX_TREND_POINTS = 400  # chosen: 80,000 pairs, which take a few ms
MAX_EXACT = 12  # samples of both series together: at most 924 ways to share them out
Z95 = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
_NORMAL_MAD = 1.4826  # median absolute deviation to standard deviation for normal samples: 1 / 0.6745


class Trend(Record):
    """A drift over the run: Theil-Sen slope and Mann-Kendall test.

    ``growth`` is the fitted change from the first to the last run as a share of the median: 0.1 is 10 % slower.
    """

    growth: float
    p_value: float


def bootstrap_interval(
    rounds: Sequence[Floats], statistic: Callable[..., Floats], *, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile interval (95 %) of a positive statistic, widened by what a few rounds do not tell.

    Args:
        rounds: The samples of each round, (runs,) float64, in any one unit; the interval is in the same.
        statistic: From (resamples, n) to (resamples,) over the axis given as ``axis``, such as ``np.median``.
        seed: The same seed gives the same interval.
        resamples: Number of bootstrap draws.
    """
    drawn = interval_of(statistic(resample(rounds, np.random.default_rng(seed), resamples), axis=-1))
    return widened(drawn, float(statistic(np.concatenate(rounds), axis=-1)), [len(rounds)])


def interval_of(values: Floats) -> tuple[float, float]:
    """The middle 95 % of ``values``, (n,) float64."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def widened(interval: tuple[float, float], centre: float, counts: Sequence[int]) -> tuple[float, float]:
    """A bootstrap interval, moved away from its centre by what draws from few parts leave out.

    They scatter too little, by the root of (n - 1) / n, and are no better known than Student's t says (Hesterberg, The
    American Statistician 69, 2015): without it the interval of two rounds that differ holds the truth in half of the
    cases. By factors, since latencies and their ratios are positive. Where rounds are alike it is wider than need be.

    Args:
        interval: Of a positive quantity.
        centre: The quantity from all samples.
        counts: The number of rounds in each sample that was drawn from; what one round leaves out is not known.
    """
    least = min(counts)
    if least < 2 or min(*interval, centre) <= 0:
        return interval
    times = math.sqrt(least / (least - 1)) * student_quantile(sum(counts) - len(counts)) / Z95
    low, high = (centre * (end / centre) ** times for end in interval)
    return low, high


def student_quantile(freedom: int, level: float = 0.975) -> float:
    """Quantile of Student's t: exact for 1 and 2 degrees of freedom, else by the expansion of Cornish and Fisher.

    At 97.5 % that is less than 1 % off.
    """
    if freedom == 1:
        return math.tan(math.pi * (level - 0.5))
    if freedom == 2:
        return (2 * level - 1) / math.sqrt(2 * level * (1 - level))
    z = NormalDist().inv_cdf(level)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def resample(rounds: Sequence[Floats], generator: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """Bootstrap draws, (resamples, rounds * runs) float64: rounds with replacement, then runs within each as well.

    Rounds of unequal size are drawn at the size of the smallest. A single round is drawn run by run.
    """
    size = min(len(samples) for samples in rounds)
    if size == 0:
        raise ValueError("a round without samples")
    if len({len(samples) for samples in rounds}) > 1:
        table = [samples[generator.permutation(len(samples))[:size]] for samples in rounds]
    else:
        table = list(rounds)
    stacked = np.stack(table)
    picked = generator.integers(0, len(rounds), (resamples, len(rounds), 1))
    runs = generator.integers(0, size, (resamples, len(rounds), size))
    return np.asarray(stacked[picked, runs].reshape(resamples, -1), np.float64)


def trend(samples: Floats) -> Trend:
    """Whether samples, (n,) float64 in any unit, grow or shrink with their order.

    More than 400 samples are first reduced to 400 medians of neighbours.
    """
    points = _reduced(samples)
    count = len(points)
    if count < 3:
        return Trend(growth=0.0, p_value=1.0)
    first, second = np.triu_indices(count, 1)
    differences = points[second] - points[first]
    slope = float(np.median(differences / (second - first)))
    centre = float(np.median(points))
    growth = slope * (count - 1) / centre if centre else 0.0
    return Trend(growth=growth, p_value=_kendall_p(float(np.sign(differences).sum()), points))


def _reduced(samples: Floats) -> Floats:
    """(n,) to (min(n, 400),): medians of neighbours."""
    if len(samples) <= MAX_TREND_POINTS:
        return samples
    return np.array([np.median(part) for part in np.array_split(samples, MAX_TREND_POINTS)])


def _kendall_p(score: float, points: Floats) -> float:
    """Of the number of rising minus falling pairs among (n,) points, corrected for ties (Kendall 1970)."""
    count = len(points)
    _, ties = np.unique(points, return_counts=True)
    tie_term = float((ties * (ties - 1) * (2 * ties + 5)).sum())
    variance = (count * (count - 1) * (2 * count + 5) - tie_term) / 18
    return _two_sided(max(abs(score) - 1, 0.0), variance)


def rank_test(first: Floats, second: Floats) -> float:
    """Mann-Whitney: the probability of ranks this different when both come from one distribution (two-sided).

    Exact up to 12 samples, where the normal approximation never gets below 1 % for five against five.

    Args:
        first: (n,) float64.
        second: (m,) float64, in the same unit.
    """
    joined = np.concatenate([first, second])
    _, inverse, ties = np.unique(joined, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[inverse]
    n, m = len(first), len(second)
    total = n + m
    distance = abs(float(ranks[:n].sum()) - n * (total + 1) / 2)
    if total <= MAX_EXACT:
        sums = np.array([sum(chosen) for chosen in combinations(ranks.tolist(), n)])
        return float(np.mean(np.abs(sums - n * (total + 1) / 2) >= distance))
    tie_term = float((ties.astype(np.float64) ** 3 - ties).sum()) / (total * (total - 1))
    return _two_sided(max(distance - 0.5, 0.0), n * m / 12 * (total + 1 - tie_term))


def _two_sided(distance: float, variance: float) -> float:
    return 1.0 if variance <= 0 else math.erfc(distance / math.sqrt(2 * variance))


def robust_sd(samples: Floats) -> float:
    """Standard deviation of (n,) samples by their median absolute deviation: blind to outliers."""
    if not len(samples):
        return 0.0
    return float(_NORMAL_MAD * np.median(np.abs(samples - np.median(samples))))


def outliers(samples: Floats, *, deviations: float = 5.0) -> int:
    """Number of samples, (n,) float64, further than ``deviations`` robust standard deviations from their median.

    Five is chosen: of normal samples not one in a million lies there. The deviation counts as at least 1 % of the
    median, so that a very steady run has no outliers by rounding.
    """
    centre = float(np.median(samples))
    spread = max(robust_sd(samples), 0.01 * abs(centre))
    return int((np.abs(samples - centre) > deviations * spread).sum())


def pooled(counts: Sequence[int], means: Sequence[float], deviations: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation of all samples, from those of each group, in their unit."""
    weights = np.asarray(counts, np.float64)
    averages, spreads = np.asarray(means, np.float64), np.asarray(deviations, np.float64)
    average = float((weights * averages).sum() / weights.sum())
    variance = float((weights * (spreads**2 + (averages - average) ** 2)).sum() / weights.sum())
    return average, math.sqrt(variance)
