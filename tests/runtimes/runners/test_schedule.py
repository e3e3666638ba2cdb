"""The steps of a run: what each seed draws, and what holds for all of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.runners.schedule import draw_schedule, scheduled
from runtimes.runners.workload import Step, Workload

VARIED = Workload(burst=2, gap_ms=250.0, gap_spread=0.6, burst_factors=(1, 3), controls=10, seed=0)


def test_without_a_schedule_bursts_and_gaps_are_all_alike() -> None:
    assert scheduled(Workload(runs=5, burst=2, gap_ms=7.0)).schedule == (
        Step(gap_ms=7.0, count=2), Step(gap_ms=7.0, count=2), Step(gap_ms=7.0, count=1)
    )  # fmt: skip
    assert scheduled(Workload(runs=3, gap_ms=7.0)).schedule == (Step(gap_ms=7.0, count=1),) * 3
    assert scheduled(Workload(runs=3)).schedule == (Step(gap_ms=0.0, count=3),), "without gaps it is all one burst"
    assert scheduled(Workload(runs=3, burst=1, gap_ms=0.0)).schedule == (Step(gap_ms=0.0, count=1),) * 3
    there = Workload(runs=3, schedule=(Step(gap_ms=1.0, count=3),))
    assert scheduled(there) is there


def test_the_seed_and_nothing_else_decides() -> None:
    def drawn(seed: int) -> tuple[Step, ...]:
        work = Workload(burst=2, gap_ms=250.0, gap_spread=0.6, burst_factors=(1, 3), controls=10, seed=seed)
        return draw_schedule(work, bursts=50, latency_s=0.02)

    assert drawn(7) == drawn(7)
    one, other = drawn(7), drawn(8)
    assert [step.gap_ms for step in one] != [step.gap_ms for step in other]
    assert [step.count for step in one] != [step.count for step in other]


def test_switched_off_it_is_the_plain_one() -> None:
    plain = Workload(runs=12, burst=2, gap_ms=30.0, gap_spread=0.0, burst_factors=(1,), controls=0, seed=3)
    assert draw_schedule(plain, bursts=6, latency_s=0.02) == scheduled(plain).schedule


@given(
    seed=st.integers(0, 2**40),
    bursts=st.integers(2, 60),
    controls=st.integers(0, 20),
    factors=st.sampled_from([(1,), (1, 3), (2, 5), (1, 2, 4)]),
    spread=st.floats(0.0, 0.9),
)
def test_whatever_is_drawn_is_balanced(
    seed: int, bursts: int, controls: int, factors: tuple[int, ...], spread: float
) -> None:
    work = Workload(burst=4, gap_ms=200.0, gap_spread=spread, burst_factors=factors, controls=controls, seed=seed)
    steps = draw_schedule(work, bursts=bursts, latency_s=0.015)
    counts = [step.count for step in steps if step.count]
    assert len(counts) == bursts and len(steps) == bursts + controls
    each = Counter(counts)
    assert set(each) <= {4 * factor for factor in factors}
    for cut in range(1, bursts + 1):  # balanced all along, so that a drift falls on each length alike
        so_far = Counter(counts[:cut])
        often = [so_far[4 * factor] for factor in factors]
        assert max(often) - min(often) <= 1
    lasting = Counter(round(step.wait_ms / (4 * 15.0), 6) for step in steps if not step.count)
    assert set(lasting) <= set(factors)
    assert max(lasting.values(), default=0) - min((lasting[factor] for factor in factors), default=0) <= 1
    assert steps[0].count and steps[-1].count, "controls stand between bursts"
    gaps = np.array([step.gap_ms for step in steps])
    assert gaps.min() >= 200.0 * (1 - spread) - 1e-3 and gaps.max() <= 200.0 * (1 + spread) + 1e-3
    assert abs(gaps.mean() / 200.0 - 1) <= spread / len(steps) + 1e-5


def test_gaps_fill_their_range_and_have_no_order() -> None:
    gaps = np.array([step.gap_ms for step in draw_schedule(VARIED, bursts=50, latency_s=0.02)])
    assert gaps.min() < 110.0 and gaps.max() > 390.0
    assert np.std(gaps) == pytest.approx(300.0 / np.sqrt(12), rel=0.05), "even between 100 and 400"
    correlations = []
    for seed in range(50):
        drawn = draw_schedule(Workload(gap_ms=1.0, gap_spread=0.6, seed=seed), bursts=60, latency_s=0.02)
        each = np.array([step.gap_ms for step in drawn])
        correlations.append(np.corrcoef(each[:-1], each[1:])[0, 1])
    assert abs(np.mean(correlations)) < 0.06  # three deviations of a mean of 50 of 60 independent ones, and 1 / 60


def test_a_load_of_the_cycles_period_no_longer_coincides() -> None:
    """Its phase at the starts of the bursts: one and the same with constant gaps, anywhere with gaps that vary."""

    def coherence(spread: float) -> float:
        work = Workload(burst=1, gap_ms=240.0, gap_spread=spread, burst_factors=(1,), controls=0, seed=1)
        at_ms, phases = 0.0, []
        for step in draw_schedule(work, bursts=50, latency_s=0.06):
            phases.append((at_ms + step.gap_ms) / 300.0)
            at_ms += step.gap_ms + 60.0
        return float(abs(np.mean(np.exp(2j * np.pi * np.array(phases)))))

    assert coherence(0.0) == pytest.approx(1.0)
    assert coherence(0.6) < 0.3


def test_controls_are_spread_over_the_run_and_differ_by_seed() -> None:
    places = []
    for seed in range(20):
        work = Workload(burst=1, gap_ms=250.0, gap_spread=0.6, burst_factors=(1, 3), controls=10, seed=seed)
        steps = draw_schedule(work, bursts=50, latency_s=0.02)
        before = np.cumsum([bool(step.count) for step in steps])
        places.append([int(before[index]) for index, step in enumerate(steps) if not step.count])
    for each in places:
        assert all(4.9 * tenth < place < 1 + 4.9 * (tenth + 1) for tenth, place in enumerate(each)), "one in each"
    assert len({tuple(each) for each in places}) == 20
