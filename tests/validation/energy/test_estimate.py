"""From the windows' energies to a figure and its interval: by hand, and against recordings whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from power_boxes import evidence_of, recorded, row
from power_course import boxes, linear_tail, total
from power_judged import SOUND
from power_physics import build

from validation.energy.analysis import examine
from validation.energy.estimate import Estimate, standard_error, without_trend
from validation.energy.model import fit_model
from validation.statistics import student_quantile


def _found(*args: object, **options: object) -> Estimate:
    return evidence_of(*recorded(*args, **options)).estimate  # type: ignore[arg-type]


def test_neighbours_that_go_together_widen_the_error() -> None:
    assert standard_error(np.array([3.0, 1.0, 2.0]), 2) == pytest.approx(math.sqrt(37.0))  # 14 + 2(2/3)5 + 2(1/3)6
    assert standard_error(np.array([1.0, 1.0, -1.0, 1.0]), 3) == pytest.approx(math.sqrt(32.0) / 3)
    assert standard_error(np.array([2.0]), 1) == 2.0


def test_neighbours_that_go_against_each_other_do_not_make_the_error_vanish() -> None:
    assert standard_error(np.array([1.0, -2.0, 1.0]), 2) == pytest.approx(1.5)  # a quarter of 6, where 4/3 is found


def test_the_error_of_a_mean_is_that_of_repeated_draws() -> None:
    draws = np.random.default_rng(3).normal(0, 1.0, (2000, 50))
    for values in (draws, draws[:, 1:] + 0.2 * draws[:, :-1]):  # alone, and with a part of the neighbour
        count = values.shape[1]
        parts = (values - values.mean(axis=1, keepdims=True)) / count
        errors = [standard_error(part, count - 1) for part in parts]
        assert np.mean(errors) == pytest.approx(np.std(values.mean(axis=1)), rel=0.1)


def test_a_straight_line_is_no_scatter() -> None:
    line = 3.0 + 0.5 * np.arange(10)
    np.testing.assert_allclose(without_trend(line), np.zeros(10), atol=1e-12)
    np.testing.assert_allclose(without_trend(np.array([1.0, 2.0, 3.0])), np.zeros(3), atol=1e-12)
    bumps = np.array([1.0, -1.0, -1.0, 1.0])
    np.testing.assert_allclose(without_trend(bumps), bumps, atol=1e-12)
    np.testing.assert_allclose(without_trend(np.array([1.0, 3.0])), [-1.0, 1.0])


def test_the_figure_of_one_length_is_all_energy_by_all_inferences() -> None:
    powers = [900.0 + 20 * n for n in range(12)]
    found = _found(row(12), powers)
    assert found.energy_mj == pytest.approx(np.mean(powers) * 0.06)
    assert found.overhead_mj is found.overhead_half_mj is found.control_mj is found.control_half_mj is None
    assert found.error_mj == pytest.approx(0.0, abs=1e-9), "steady growth is no scatter"
    np.testing.assert_allclose(found.off_mj, (np.array(powers) - np.mean(powers)) * 0.06, atol=1e-9)
    many = _found(row(12), powers, counts=(4,) * 12)
    assert many.energy_mj == pytest.approx(found.energy_mj / 4)


def test_windows_that_take_longer_at_the_same_power_are_not_off() -> None:
    lengths = [0.05, 0.07] * 6
    spans = [(2 + 0.3 * n, 2 + 0.3 * n + length) for n, length in enumerate(lengths)]
    found = _found(spans)
    assert found.energy_mj == pytest.approx(60.0)
    np.testing.assert_allclose(found.off_mj, np.zeros(12), atol=1e-9)
    assert found.error_mj == pytest.approx(0.0, abs=1e-9)


def test_the_interval_by_hand() -> None:
    signs = np.array([1, -1, -1, 1, 1, -1, -1, 1])  # no trend; lag 1: -1, lag 2: -6
    found = _found(row(8), (1000 + 100 * signs).tolist())
    error = 6.0 * math.sqrt((8 - 4 / 3 - 4) / 64 * 8 / 6)
    assert found.error_mj == pytest.approx(error)
    assert 0 < found.bias_mj < 0.005 * 60, "a tail that is over within the pad would not be seen"
    half = 2.447 * math.hypot(error, found.bias_mj)
    assert found.half_mj == pytest.approx(half, rel=2e-3), "two degrees of freedom: mean and trend"


def _two_lengths(**options: object) -> Estimate:
    counts = (1, 3, 3, 1, 3, 1, 1, 3, 1, 3)
    starts = [2.0 + 0.4 * n for n in range(10)]
    spans = [(start, start + 0.06 * count) for start, count in zip(starts, counts, strict=True)]
    return _found(spans, counts=counts, **options)


def test_the_figure_of_two_lengths_is_the_slope_and_the_rest_is_overhead() -> None:
    bare = _two_lengths()
    assert (bare.energy_mj, bare.overhead_mj) == (pytest.approx(60.0), pytest.approx(0.0, abs=1e-9))
    starts = 2.0 + 0.4 * np.arange(10)
    found = _two_lengths(load=boxes(starts, starts + 0.02, 300.0))
    assert found.energy_mj == pytest.approx(60.0)
    assert found.overhead_mj == pytest.approx(6.0), "300 mW for 20 ms with every burst"
    assert found.overhead_half_mj == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(found.off_mj, np.zeros(10), atol=1e-9)


def test_intervals_of_slope_and_overhead_are_those_of_a_least_squares_line() -> None:
    setup = replace(SOUND, plan=(1, 3) * 30, gap_spread=0.6)
    found = examine((case := build(setup, 4)).trace, case.stamps).estimate
    bursts = examine(case.trace, case.stamps).model.bursts
    design = np.stack([bursts.counts, np.ones(60)], axis=1)
    solved, residue, _, _ = np.linalg.lstsq(design, bursts.energy_mj, rcond=None)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * residue[0] / 58)
    assert found.energy_mj == pytest.approx(solved[0]) and found.overhead_mj == pytest.approx(solved[1])
    assert found.overhead_half_mj is not None
    assert 0.5 < found.error_mj / errors[0] < 1.6
    assert 0.5 < found.overhead_half_mj / (2.0 * errors[1]) < 1.6


def test_what_runs_in_the_controls_is_found_with_its_interval() -> None:
    controls = [(2.2 + 0.4 * n, 2.26 + 0.4 * n) for n in range(4)]
    bursts = [(2.0 + 0.4 * n, 2.06 + 0.4 * n) for n in range(12)]
    at = np.array(controls)
    for load, half in (([100.0] * 4, 0.0), ([60.0, 140.0, 140.0, 60.0], None)):
        found = _found(bursts, controls=controls, load=boxes(at[:, 0], at[:, 1], load))
        assert found.control_mj == pytest.approx(6.0)
        # +-2.4 mJ, sorted -++-: 4 - 4/3 - 4/3 (lag 2: -1, -1) of 5.76 / 16, by 4 / 3
        expected = half if half is not None else student_quantile(3) * 2.4 * math.sqrt((4 - 4 / 3 - 4 / 3) / 16 * 4 / 3)
        assert found.control_half_mj == pytest.approx(expected, abs=1e-9)
        assert found.energy_mj == pytest.approx(60.0)
    one = _found(bursts, controls=controls[:1])
    assert one.control_mj is None and one.control_half_mj is None


def test_what_the_late_part_of_the_gaps_would_change_widens_the_interval() -> None:
    spans = row(12)
    ends = np.array(spans)[:, 1]
    low = 4.0  # mW, in the first half of each gap: less than what counts as a tail
    found = _found(spans, load=boxes(ends, ends + 0.1, low))
    level = low * (0.1 - 0.0012) / (0.2 - 0.0024)  # the mean of the gap between the pads
    late = level * (0.06 + 0.0024)  # nothing is left of it in the last third of the gap
    hidden = _found(spans).bias_mj
    assert math.sqrt(found.bias_mj**2 - hidden**2) == pytest.approx(late / math.sqrt(3), rel=0.15)
    assert found.half_mj == pytest.approx(student_quantile(10) * math.hypot(found.error_mj, found.bias_mj))


def test_windows_with_holes_do_not_count() -> None:
    trace, stamps = recorded(row(12), [1000.0] * 3 + [2000.0] + [1000.0] * 8)
    power = trace.power_mw.copy()
    start = round(row(12)[3][0] * 1000)
    power[start : start + 30] = np.nan
    found = evidence_of(replace(trace, power_mw=power), stamps).estimate
    assert np.flatnonzero(~found.used).tolist() == [3]
    assert found.energy_mj == pytest.approx(60.0) and found.error_mj == pytest.approx(0.0, abs=1e-9)


def test_where_no_window_is_whole_all_count() -> None:
    trace, stamps = recorded(row(12))
    power = trace.power_mw.copy()
    for start, _ in row(12):
        power[round(start * 1000) + 15 : round(start * 1000) + 45] = np.nan
    found = evidence_of(replace(trace, power_mw=power), stamps).estimate
    assert np.all(found.used) and found.energy_mj == pytest.approx(60.0)


def test_several_loads_at_once_add_up() -> None:
    starts = 2.0 + 0.4 * np.arange(10)
    found = _two_lengths(load=total([boxes(starts, starts + 0.02, 300.0), boxes(starts, starts + 0.03, 100.0)]))
    assert found.overhead_mj == pytest.approx(9.0) and found.energy_mj == pytest.approx(60.0)


def test_a_slope_has_three_degrees_of_freedom_less() -> None:
    signs = np.array([1, -1, -1, 1, 1, -1, -1, 1, 0, 0])
    counts = np.array([1, 3, 3, 1, 3, 1, 1, 3, 1, 3])
    found = _two_lengths(powers=(1000.0 + 50 * signs / counts).tolist())
    weights = (counts - 2.0) / 10
    parts = weights * without_trend(found.off_mj)
    assert found.energy_mj == pytest.approx(60.0 + 3.0 * float(weights @ signs))
    assert found.error_mj == pytest.approx(standard_error(parts, 7)) != 0
    assert found.half_mj == pytest.approx(2.365 * math.hypot(found.error_mj, found.bias_mj), rel=3e-3)
    assert found.overhead_half_mj is not None
    each = (1 / 10 - weights * 2.0) * without_trend(found.off_mj)
    assert found.overhead_half_mj == pytest.approx(2.365 * standard_error(each, 7), rel=3e-3)


@pytest.mark.parametrize("counts", [(1,) * 12, (1, 3) * 6])
def test_a_tail_in_the_pad_is_as_unsure_as_it_is_and_cancels_in_a_slope(counts: tuple[int, ...]) -> None:
    spans = [(2 + 0.5 * n, 2 + 0.5 * n + 0.06 * count) for n, count in enumerate(counts)]
    ends = np.array([end for _, end in spans])
    trace, stamps = recorded(spans, counts=counts, load=linear_tail().at(ends, 0.05, 400.0))
    evidence = evidence_of(trace, stamps)
    model, found = evidence.model, evidence.estimate
    late = fit_model(evidence.signal, stamps, evidence.alignment, late=True).bursts.energy_mj - model.bursts.energy_mj
    if found.overhead_mj is None:
        other, pad = float(late.mean()), model.tail.in_pad_mw[1] * model.pad_s
    else:
        other, pad = float(np.polyfit(counts, late, 1)[0]), 0.0
    assert found.bias_mj == pytest.approx(math.hypot(other / math.sqrt(3), pad), abs=1e-9)
    assert model.tail.in_pad_mw[1] * model.pad_s > 0.05


def test_controls_with_holes_do_not_count() -> None:
    controls = [(2.2 + 0.4 * n, 2.26 + 0.4 * n) for n in range(5)]
    bursts = [(2.0 + 0.4 * n, 2.06 + 0.4 * n) for n in range(12)]
    at = np.array(controls)
    trace, stamps = recorded(bursts, controls=controls, load=boxes(at[:, 0], at[:, 1], [100.0] * 4 + [900.0]))
    power = trace.power_mw.copy()
    power[3810:3840] = np.nan
    found = evidence_of(replace(trace, power_mw=power), stamps).estimate
    assert found.control_mj == pytest.approx(6.0) and found.control_half_mj == pytest.approx(0.0, abs=1e-9)
