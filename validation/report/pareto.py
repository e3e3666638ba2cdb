"""Pareto fronts: which models no other model beats in both cost and accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence


def dominators(points: Sequence[tuple[float, float]]) -> list[int | None]:
    """For each point the index of a point of the front that dominates it; None for the points of the front.

    One point dominates another when it costs no more and is worth no less, and is better in at least one of the two.
    Equal points do not dominate each other. Of several that dominate, the most accurate is named.

    Args:
        points: (cost, value) of each model: less cost and more value are better.

    Raises:
        ValueError: A number is not finite: nothing can be compared with it.
    """
    for cost, value in points:
        if not (math.isfinite(cost) and math.isfinite(value)):
            raise ValueError(f"cannot compare the point ({cost}, {value}): both numbers must be finite")
    found: list[int | None] = [None] * len(points)
    best: int | None = None
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if best is None or points[index][1] > points[best][1]:
            best = index
        elif points[index] != points[best]:
            found[index] = best
    return found
