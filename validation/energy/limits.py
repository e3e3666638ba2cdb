"""The error budget behind all checks on an energy figure, and how a check is written down.

One rule stands behind most limits. A figure may be 5 % off at most (``BUDGET``), and each way to be wrong may take a
third of that (``SHARE``); what a check measures counts only where it is significant (``SIGMA``: 1 % over all checks
together). Limits that are not of this kind say where they come from.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from validation.energy.report import Check
from validation.energy.signal import Doubles

BUDGET = 0.05  # of the energy: chosen, because models that differ by less are told apart by latency, not energy
SHARE = BUDGET / 3
CHECKS = 25  # that ask whether what they found is significant, at most
LEVEL = 1 - 0.01 / CHECKS
SIGMA = NormalDist().inv_cdf(LEVEL)
MAX_SPREAD = 0.035  # of the power between windows: a load in half of them that adds 6 % spreads them by as much
LEAST_WINDOWS = 8  # chosen: below it neither a scatter nor a t-quantile says much


def answer(
    name: str, value: float, limit: float, reason: str, *, unit: str = "", least: bool = False, counts: bool = True
) -> Check:
    """A check that holds where ``value`` keeps ``limit``, or is not significant (``counts``); nan never holds."""
    held = (value >= limit if least else value <= limit) or (math.isfinite(value) and not counts)
    return Check(
        name=name, value=value if math.isfinite(value) else None, limit=limit, unit=unit,
        bound="at least" if least else "at most", passed=held, reason="" if held else reason,
    )  # fmt: skip


def variance_error(values: Doubles) -> float:
    """Standard error of the variance of (n,) values, from their fourth moment."""
    if len(values) < 2:
        return 0.0
    return float(np.std(np.square(values - values.mean()))) / math.sqrt(len(values))
