"""Labels of the least cost, against all labels tried."""

from __future__ import annotations

import itertools
import random

import pytest

from export.min_cut import Pair, Single, cheapest_labels


def problem(seed: int) -> tuple[list[Single[int]], list[Pair[int]]]:
    """Up to seven things with costs of 0 to 5, and pairs that cost no more alike than unlike."""
    draw = random.Random(seed)
    count = draw.randint(1, 7)
    singles = [Single(item, draw.randint(0, 5), draw.randint(0, 5)) for item in range(count)]
    pairs = []
    for _ in range(draw.randint(0, 10) if count > 1 else 0):
        first, second = draw.sample(range(count), 2)
        alike, unlike = sorted([(draw.randint(0, 5), draw.randint(0, 5)) for _ in range(2)], key=sum)
        pairs.append(Pair(first, second, alike[0], *unlike, alike[1]))
    return singles, pairs


@pytest.mark.parametrize("seed", range(60))
def test_no_other_labels_cost_less(seed: int) -> None:
    singles, pairs = problem(seed)

    def cost(labels: dict[int, bool]) -> float:
        alone = sum(single.on if labels[single.item] else single.off for single in singles)
        return alone + sum(pair[2 + 2 * labels[pair.first] + labels[pair.second]] for pair in pairs)

    tried = itertools.product((False, True), repeat=len(singles))
    assert cost(cheapest_labels(singles, pairs)) == min(cost(dict(enumerate(labels))) for labels in tried)


def test_a_tie_is_false() -> None:
    assert cheapest_labels([Single("a", 1, 1)], [Pair("a", "b", 0, 2, 2, 0)]) == {"a": False, "b": False}


def test_neighbours_that_want_to_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="a and b cost less apart"):
        cheapest_labels([], [Pair("a", "b", 1, 0, 0, 1)])
