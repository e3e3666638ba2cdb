"""What the checks look at: idle, samples within windows, and steps of the meter, on recordings made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from power_boxes import Spans, evidence_of, recorded, row
from power_course import boxes
from power_judged import SOUND
from power_physics import build

from validation.energy.analysis import examine
from validation.energy.evidence import Evidence
from validation.energy.model import LEAST_PAD_S, PAD_SHARE

SPANS = row(10, first_s=6.0)  # until 8.4 s, of a trace of 10.4 s


def _evidence(**options: Spans) -> Evidence:
    return evidence_of(*recorded(SPANS, **options))


def _idle(**options: Spans) -> tuple[float, ...]:
    before, after = _evidence(**options).idle
    return (*before, *after)


def test_idle_is_four_seconds_on_each_side_at_most_and_not_right_beside_the_run() -> None:
    assert _idle() == pytest.approx((2.0, 5.95, 8.9, 10.4))
    early = evidence_of(*recorded(row(10, first_s=1.0)))
    assert early.idle[0] == pytest.approx((0.0, 0.95))


def test_idle_begins_half_a_second_behind_what_else_the_runner_did() -> None:
    assert _idle(other=[(3.0, 4.0)]) == pytest.approx((4.5, 5.95, 8.9, 10.4))
    assert _idle(other=[(0.5, 1.0)]) == pytest.approx((2.0, 5.95, 8.9, 10.4))
    assert _idle(other=[(3.0, 4.0), (5.0, 5.2)])[0] == pytest.approx(5.7)


def test_idle_ends_where_the_runner_goes_on_with_something_else() -> None:
    assert _idle(other=[(9.91, 10.2)]) == pytest.approx((2.0, 5.95, 8.4 + 0.375, 9.9))
    assert _idle(other=[(3.0, 4.0), (9.91, 10.2)]) == pytest.approx((4.5, 5.95, 8.775, 9.9))


def test_warm_up_is_busy_and_no_idle() -> None:
    assert _idle(warmup=[(5.0, 5.3)])[:2] == pytest.approx((1.0, 4.95))


def test_windows_are_bursts_and_controls_by_time() -> None:
    evidence = _evidence(controls=[(6.1, 6.15), (7.7, 7.72)])
    starts = [window.start_ns for window in evidence.windows]
    assert len(starts) == 12 and starts == sorted(starts)


def test_typical_is_the_median_of_the_shortest_kind() -> None:
    spans = [(2 + 0.4 * n, 2 + 0.4 * n + length) for n, length in enumerate((0.05, 0.2, 0.06, 0.2, 0.08, 0.2))]
    assert evidence_of(*recorded(spans, counts=(1, 3) * 3)).typical_s == pytest.approx(0.06)


def test_the_power_is_that_of_the_windows_that_count() -> None:
    trace, stamps = recorded(SPANS, [1000.0] * 5 + [3000.0] + [1000.0] * 4)
    power = trace.power_mw.copy()
    power[7310:7340] = np.nan  # half of the sixth
    assert evidence_of(trace, stamps).power_mw == pytest.approx(1200.0)
    assert evidence_of(replace(trace, power_mw=power), stamps).power_mw == pytest.approx(1000.0)


def test_the_step_of_the_meter_is_the_smallest_between_its_values() -> None:
    trace, stamps = recorded(SPANS)
    rng = np.random.default_rng(1)
    noisy = trace.power_mw + rng.normal(0, 20, len(trace.power_mw))
    for power, step in (
        (np.round(noisy / 5) * 5, 5.0),
        (np.round(noisy / 0.25) * 0.25, 0.25),
        (noisy, 0.0),
        (np.maximum(noisy, 1300.0), 0.0),
        (np.where(noisy < 900, 0.0, np.round(noisy / 5) * 5), 5.0),
        (np.where(rng.random(len(noisy)) < 0.1, np.nan, np.round(noisy / 5) * 5), 5.0),
    ):
        assert evidence_of(replace(trace, power_mw=power), stamps).step_mw == pytest.approx(step, abs=1e-9)


def test_a_value_that_never_changes_has_no_step() -> None:
    trace, stamps = recorded(SPANS, 0.0)
    evidence = evidence_of(replace(trace, power_mw=np.full(len(trace.power_mw), 500.0)), stamps)
    assert evidence.step_mw == 0.0


def test_the_largest_pad_is_that_of_a_clock_that_is_as_far_off_as_may_be() -> None:
    assert _evidence().largest_pad_s == pytest.approx(0.001 + PAD_SHARE * 0.06)
    short = evidence_of(*recorded(row(10, burst_s=0.004), rate_hz=5000.0))
    assert short.largest_pad_s == pytest.approx(0.0002 + LEAST_PAD_S)


def test_samples_within_are_away_from_the_edges_and_measured() -> None:
    trace, stamps = recorded(SPANS)
    power = trace.power_mw.copy()
    power[15] = np.nan
    evidence = evidence_of(replace(trace, power_mw=power), stamps)
    within = np.flatnonzero(evidence.inside(np.array([0.0105, 1.0]), np.array([0.0205, 1.002])))
    assert within.tolist() == [12, 13, 14, 16, 17, 18], "nothing is left of two samples"
    inside = evidence_of(*recorded(row(10, first_s=6.0003))).in_bursts
    assert int(inside.sum()) == 10 * 57 and inside[6002:6059].all()


def test_windows_at_the_ends_of_the_trace_hold_what_there_is() -> None:
    evidence = _evidence()
    within = np.flatnonzero(evidence.inside(np.array([-1.0, 10.395]), np.array([0.005, 99.0])))
    assert within.tolist() == [0, 1, 2, 3, 10396, 10397, 10398, 10399]


def test_shares_are_of_the_samples_of_each_window() -> None:
    evidence = _evidence()
    mask = np.zeros(len(evidence.signal.power_mw), np.bool_)
    mask[100:105] = True
    shares = evidence.shares(np.array([0.1, 0.0995, 0.2, 0.3]), np.array([0.11, 0.1045, 0.21, 0.3]), mask)
    assert shares == pytest.approx([0.5, 1.0, 0.0, 0.0])


def test_excess_is_above_the_background_of_the_same_moment() -> None:
    evidence = evidence_of(*recorded(SPANS, load=boxes(7.10, 7.11, 80.0)))
    level = evidence.model.background_mw(np.array([7.105]))[0]
    assert evidence.excess_mw(np.array([7.10]), np.array([7.11]))[0] == pytest.approx(580.0 - level)
    assert evidence.excess_mw(np.array([6.01]), np.array([6.05]))[0] == pytest.approx(1000.0)


def test_busy_is_all_that_was_stamped_by_time() -> None:
    evidence = _evidence(warmup=[(5.0, 5.3)])
    starts, ends = evidence.busy
    assert starts[0] == pytest.approx(5.0) and len(starts) == len(ends) == 11


def test_what_lies_long_behind_the_run_is_no_idle() -> None:
    case = build(replace(SOUND, idle_before_s=9.0, idle_after_s=9.0), 1)
    evidence = examine(case.trace, case.stamps)
    first, last = float(evidence.busy[0][0]), float(evidence.busy[1][-1])
    (before, _), (_, after) = evidence.idle
    assert (before, after) == (pytest.approx(first - 4.0), pytest.approx(last + 4.0))


@pytest.mark.parametrize(("share", "step_mw"), [(0.15, 3.0), (0.25, 0.0)])
def test_a_fifth_as_many_values_as_samples_are_no_steps(share: float, step_mw: float) -> None:
    evidence = _evidence()
    count = len(evidence.trace.power_mw)
    power = 3.0 * (np.arange(count) % int(share * count))
    assert replace(evidence, trace=replace(evidence.trace, power_mw=power)).step_mw == step_mw
