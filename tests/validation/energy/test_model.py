"""The fitted model against recordings without noise, whose background, tails and energies follow by arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from power_boxes import IDLE_MW, clock, recorded, row, trace_of, windows
from power_course import Course, Shape, boxes, exponential_tail, linear_tail, polylines, total

from runtimes.power.stamps import RunStamps
from runtimes.power.trace import PowerTrace
from validation.energy.alignment import Alignment
from validation.energy.model import LEAST_PAD_S, PAD_SHARE, Model, Tail, fit_model
from validation.energy.signal import signal_of


def _model(made: tuple[PowerTrace, RunStamps], known: Alignment | None = None, *, late: bool = False) -> Model:
    trace, stamps = made
    return fit_model(signal_of(trace), stamps, known or clock(), late=late)


def _tails(shape: Shape, length_s: float, height_mw: float, ends: list[float]) -> Course:
    return shape.at(np.array(ends), length_s, height_mw)


def _ends(spans: list[tuple[float, float]]) -> list[float]:
    return [end for _, end in spans]


@pytest.mark.parametrize("rate_hz", [100.0, 333.0, 1000.0, 5000.0])
@pytest.mark.parametrize("phase_s", [0.0, 0.00037])
def test_a_box_is_its_power_times_its_length_wherever_the_samples_lie(rate_hz: float, phase_s: float) -> None:
    powers = [1000.0 + 50 * n for n in range(10)]
    model = _model(recorded(row(10, first_s=2.0 + phase_s), powers, rate_hz=rate_hz))
    np.testing.assert_allclose(model.bursts.energy_mj, np.array(powers) * 0.06, rtol=1e-9)
    np.testing.assert_allclose(model.levels_mw, IDLE_MW, rtol=1e-9)
    np.testing.assert_allclose(model.bursts.durations_s, 0.06)
    assert model.tail.over_s == model.pad_s and model.tail.total_mj == pytest.approx(0.0, abs=1e-9)
    assert np.all(model.bursts.missing == 0) and np.all(model.bursts.whole)


def test_a_background_that_drifts_in_a_line_is_followed() -> None:
    drift = polylines([0.0, 10.0], [0.0, 300.0])
    model = _model(recorded(row(10), load=drift))
    np.testing.assert_allclose(model.bursts.energy_mj[1:-1], 60.0, rtol=1e-9)
    times = np.array([2.5, 3.25])
    np.testing.assert_allclose(model.background_mw(times), IDLE_MW + 30 * times, rtol=1e-9)


@pytest.mark.parametrize(
    ("residual_s", "longer_s", "beyond_s"),
    [
        (0.0, 0.0, 0.0002),
        (0.001, 0.0, 0.001),
        (0.0, 0.001, 0.001),
        (0.0, -0.0012, 0.0012),
        (0.0004, 0.0007, 0.0007),
        (0.3, 0.0, 0.0015),
        (float("nan"), 0.0, PAD_SHARE * 0.06),
        (0.0, float("nan"), PAD_SHARE * 0.06),
    ],
)
def test_the_pad_is_a_sample_and_what_the_clocks_are_off(residual_s: float, longer_s: float, beyond_s: float) -> None:
    made = recorded(row(10), rate_hz=1000.0)
    model = _model(made, clock(residual_s=residual_s, longer_s=longer_s))
    assert model.pad_s == pytest.approx(0.001 + beyond_s)
    np.testing.assert_allclose(model.bursts.energy_mj, 60.0, rtol=1e-9)


def test_the_pad_of_a_short_window_is_what_two_clocks_may_be_off() -> None:
    model = _model(recorded(row(10, burst_s=0.004), rate_hz=5000.0), clock(residual_s=0.01))
    assert model.pad_s == pytest.approx(0.0002 + LEAST_PAD_S)


@pytest.mark.parametrize("off_s", [-0.001, 0.0005, 0.001])
def test_within_the_pad_the_energy_does_not_depend_on_the_clock(off_s: float) -> None:
    model = _model(recorded(row(10)), clock(offset_s=off_s, residual_s=0.001))
    np.testing.assert_allclose(model.bursts.energy_mj, 60.0, rtol=1e-9)
    beyond = _model(recorded(row(10)), clock(offset_s=0.005, residual_s=0.001))
    assert np.all(beyond.bursts.energy_mj < 57.0)


@pytest.mark.parametrize("shape", [exponential_tail(), exponential_tail(0.7), linear_tail()])
@pytest.mark.parametrize("height", [0.2, 0.6])
def test_tails_do_not_count_and_are_stated_whole(shape: Shape, height: float) -> None:
    spans = row(12, gap_s=0.3)
    length_s = 0.05 / float(shape.x[-1])
    model = _model(recorded(spans, load=_tails(shape, length_s, 1000.0 * height, _ends(spans))))
    np.testing.assert_allclose(model.bursts.energy_mj, 60.0, atol=60 * 0.002)
    drawn = 1000.0 * height * shape.area * length_s
    assert model.tail.total_mj == pytest.approx(drawn, abs=60 * 0.0025), "what is below half a percent is left"
    assert model.tail.over_s < 0.08
    np.testing.assert_allclose(model.levels_mw, IDLE_MW, atol=1.0)


def _some_gaps_shorter_than_the_tail() -> list[tuple[float, float]]:
    starts, now = [], 2.0
    for n in range(20):
        starts.append(now)
        now += 0.06 + (0.03 if n % 4 == 3 else 0.3)
    return [(start, start + 0.06) for start in starts]


@pytest.mark.parametrize("shape", [exponential_tail(), linear_tail()])
def test_what_reaches_into_the_next_window_is_taken_from_it(shape: Shape) -> None:
    spans = _some_gaps_shorter_than_the_tail()
    length_s = 0.08 / float(shape.x[-1])
    tails = _tails(shape, length_s, 400.0, _ends(spans))
    model = _model(recorded(spans, load=tails))
    np.testing.assert_allclose(model.bursts.energy_mj, 60.0, atol=60 * 0.004)
    late = np.array([n for n in range(1, 20) if n % 4 == 0])
    early = np.setdiff1d(np.arange(20), late)
    begin = 0.03 - model.pad_s
    alone = _tails(shape, length_s, 400.0, [0.0])
    reached = float(np.diff(alone.energy(np.array([begin, 0.08])))[0])
    assert reached > 0.5
    np.testing.assert_allclose(model.bursts.before_mj[late], reached, atol=60 * 0.0025)
    np.testing.assert_allclose(model.bursts.before_mj[early], 0.0, atol=1e-9)
    assert len(model.levels_mw) < len(model.gaps.starts_s), "gaps within a tail tell no background"
    np.testing.assert_allclose(model.levels_mw, IDLE_MW, atol=2.0)


def test_a_tail_of_the_warm_up_reaches_into_the_first_window_only() -> None:
    spans = row(20, gap_s=0.3)
    warmup = [(spans[0][0] - 0.02 - 0.06, spans[0][0] - 0.02)]
    warm = boxes(warmup[0][0], warmup[0][1], 1000.0)
    tails = _tails(linear_tail(), 0.08, 400.0, [warmup[0][1], *_ends(spans)])
    model = _model(recorded(spans, warmup=warmup, load=total([warm, tails])))
    np.testing.assert_allclose(model.bursts.energy_mj, 60.0, atol=0.5)
    assert model.bursts.before_mj[0] > 5.0 and np.all(model.bursts.before_mj[1:] == 0)


def test_a_window_right_behind_the_warm_up_has_no_tail_of_it_twice() -> None:
    spans = row(10)
    warmup = [(spans[0][0] - 0.1, spans[0][0])]
    model = _model(recorded(spans, warmup=warmup, load=boxes(*warmup[0], 1000.0)))
    assert np.all(model.bursts.before_mj == 0)
    np.testing.assert_allclose(model.bursts.energy_mj[1:], 60.0)


def test_bursts_without_a_gap_between_count_as_one() -> None:
    spans = row(12)
    split = [part for start, end in spans for part in ((start, start + 0.02), (start + 0.02, end))]
    model = _model(recorded(split, counts=(1, 2) * 12))
    assert len(model.bursts.counts) == 12 and set(model.bursts.counts) == {3.0}
    np.testing.assert_allclose(model.bursts.energy_mj, 60.0)
    np.testing.assert_allclose(model.bursts.starts_s, [start for start, _ in spans])
    np.testing.assert_allclose(model.bursts.ends_s, _ends(spans))


@pytest.mark.parametrize(("apart_s", "bursts"), [(0.0029, 12), (0.0031, 24)])
def test_three_samples_make_a_gap(apart_s: float, bursts: int) -> None:
    split = [(start, end) for a, b in row(12) for start, end in ((a, a + 0.02), (a + 0.02 + apart_s, b))]
    assert len(_model(recorded(split)).bursts.counts) == bursts


def test_back_to_back_all_is_one_window_above_the_idle() -> None:
    spans = row(10, gap_s=0.0)
    model = _model(recorded(spans))
    assert model.bursts.counts.tolist() == [10.0]
    assert model.bursts.energy_mj[0] == pytest.approx(600.0)


def test_controls_are_windows_without_inferences() -> None:
    bursts = [(2 + 0.4 * n, 2.06 + 0.4 * n) for n in range(10)]
    controls = [(2.2 + 0.4 * n, 2.26 + 0.4 * n) for n in range(9)]
    model = _model(recorded(bursts, controls=controls))
    np.testing.assert_allclose(model.controls.energy_mj, 0.0, atol=1e-9)
    assert set(model.controls.counts) == {0.0} and len(model.controls.counts) == 9
    assert int(model.gaps.after_burst.sum()) == 10, "a gap behind a control is not behind a burst"
    at = np.array(controls)
    loaded = _model(recorded(bursts, controls=controls, load=boxes(at[:, 0], at[:, 1], 100.0)))
    np.testing.assert_allclose(loaded.controls.energy_mj, 6.0, rtol=1e-9)
    np.testing.assert_allclose(loaded.bursts.energy_mj, 60.0, rtol=1e-9)


def test_no_background_is_taken_from_where_the_device_may_be_busy() -> None:
    spans = row(10, first_s=4.0)
    loading = boxes(3.2, 3.8, 900.0)
    without = _model(recorded(spans, load=loading))
    assert without.levels_mw[0] > IDLE_MW + 100
    stated = _model(recorded(spans, other=[(3.2, 3.8)], load=loading))
    np.testing.assert_allclose(stated.levels_mw, IDLE_MW, rtol=1e-9)


def test_only_a_second_of_the_idle_beside_the_run_counts() -> None:
    far = boxes(0.0, 2.9, 200.0)
    spans = row(10, first_s=4.0)
    model = _model(recorded(spans, load=far + boxes(spans[-1][1] + 1.1, 99.0, 200.0)))
    np.testing.assert_allclose(model.levels_mw, IDLE_MW, rtol=1e-9)
    assert model.gaps.starts_s[0] == pytest.approx(3.0 - model.pad_s)
    assert model.gaps.lengths_s[-1] == pytest.approx(1.0)


def test_windows_with_holes_say_how_much_of_them_is_missing() -> None:
    trace, stamps = recorded(row(10))
    power = trace.power_mw.copy()
    for window, lost in ((2, 11), (5, 13)):  # of 60 samples: less and more than a fifth
        first = round(row(10)[window][0] * 1000) + 10
        power[first : first + lost] = np.nan
    bursts = _model((replace(trace, power_mw=power), stamps)).bursts
    assert bursts.missing[[2, 5]] == pytest.approx([11 / 60, 13 / 60])
    assert np.flatnonzero(~bursts.whole).tolist() == [5]
    np.testing.assert_allclose(bursts.energy_mj, 60.0, rtol=1e-9)


def test_a_gap_that_was_not_measured_tells_no_background() -> None:
    trace, stamps = recorded(row(10))
    power = trace.power_mw.copy()
    first = round(row(10)[3][1] * 1000)
    power[first - 20 : first + 180] = np.nan  # a line from 1500 to 500 mW would be filled in
    model = _model((replace(trace, power_mw=power), stamps))
    assert len(model.levels_mw) == len(model.gaps.starts_s) - 1
    np.testing.assert_allclose(model.levels_mw, IDLE_MW, rtol=1e-9)


def test_the_late_background_is_that_of_the_last_third_of_each_gap() -> None:
    spans = row(12)
    ends = np.array(_ends(spans))
    made = recorded(spans, load=boxes(ends, ends + 0.13, 4.0))
    early, late = _model(made), _model(made, late=True)
    np.testing.assert_allclose(late.levels_mw, IDLE_MW, rtol=1e-9)
    inner = early.levels_mw[1:-1]
    np.testing.assert_allclose(inner - IDLE_MW, 4.0 * (0.13 - 0.0012) / (0.2 - 0.0024), rtol=0.1)


def test_without_any_gap_the_lowest_of_the_trace_is_the_background() -> None:
    course = boxes(0.0, 0.5, 1000.0)
    stamps = RunStamps(bursts=windows([(0.003, 0.497)]))
    model = _model((trace_of(course, 0.5), stamps))
    assert len(model.gaps.starts_s) == 0
    assert model.background_mw(np.array([0.2]))[0] == pytest.approx(1500.0)
    assert model.bursts.energy_mj[0] == pytest.approx(0.0, abs=1e-6)


def test_few_gaps_tell_no_tail() -> None:
    def tail_of(count: int) -> float:
        spans = row(count, gap_s=0.3)
        return _model(recorded(spans, load=_tails(linear_tail(), 0.05, 400.0, _ends(spans)))).tail.total_mj

    assert tail_of(3) == 0.0
    assert tail_of(4) == pytest.approx(10.0, rel=0.1)


def test_a_tail_is_no_longer_than_most_of_a_gap() -> None:
    spans = row(20, gap_s=0.1)
    model = _model(recorded(spans, load=_tails(exponential_tail(), 0.05, 400.0, _ends(spans))))
    longest_s = model.pad_s + 0.6 * float(np.median(model.gaps.lengths_s))
    assert model.tail.over_s == pytest.approx(longest_s)


def test_half_a_percent_of_the_power_is_no_tail() -> None:
    def over_s(height_mw: float) -> float:
        spans = row(12)
        ends = np.array(_ends(spans))
        model = _model(recorded(spans, load=boxes(ends, ends + 0.03, height_mw)))
        return model.tail.over_s - model.pad_s

    assert over_s(3.0) == 0.0
    assert over_s(20.0) == pytest.approx(0.03, abs=0.01)


def _tail(first: float, second: float, *, most: float = 1000.0, over_s: float = 0.03, error: float = 0.0) -> Tail:
    return Tail(np.array([0.01, 0.02, 0.03]), np.array([first, second]), np.array([error, error]), over_s, most)


def test_in_the_pad_a_tail_goes_on_between_line_and_exponential() -> None:
    level, error = _tail(200.0, 100.0).in_pad_mw  # cells at 15 and 25 ms, the pad's middle at 5 ms: one step back
    assert level == pytest.approx((300.0 + 400.0) / 2)
    assert error == pytest.approx(100 / np.sqrt(12) + 0.15 * 350)
    assert _tail(200.0, 100.0).total_mj == pytest.approx(350 * 0.01 + 3.0)


def test_in_the_pad_a_tail_is_no_higher_than_the_inference() -> None:
    assert _tail(200.0, 100.0, most=350.0).in_pad_mw[0] == pytest.approx((300 + 350) / 2)
    assert _tail(200.0, 100.0, most=250.0).in_pad_mw[0] == pytest.approx(250.0)
    assert _tail(100.0, 1e-3, most=5000.0).in_pad_mw[0] == pytest.approx((200 + 1000) / 2), "ten times a step, at most"


def test_a_tail_that_rises_goes_on_as_it_is() -> None:
    level, error = _tail(100.0, 150.0, error=3.0).in_pad_mw
    assert level == pytest.approx(100.0)
    assert error == pytest.approx(np.hypot(np.hypot(6.0, 3.0), 0.15 * 100))


def test_without_a_tail_nothing_is_in_the_pad_but_noise() -> None:
    for tail in (_tail(2.0, 1.0, over_s=0.01, error=5.0), _tail(-2.0, 1.0, error=5.0)):
        level, error = tail.in_pad_mw
        assert level == 0.0
        # and what falls from 0.6 of the power to 5 mW between the end and the middle of the first cell
        constant_s = float(tail.edges_s[:2].mean()) / math.log(0.6 * tail.most_mw / 5.0)
        pad_s = float(tail.edges_s[0])
        hidden = 0.6 * tail.most_mw * constant_s * (1 - math.exp(-pad_s / constant_s)) / pad_s
        assert error == pytest.approx(math.hypot(5.0, hidden / math.sqrt(3)))


def test_a_tail_has_no_energy_behind_its_end() -> None:
    tail = _tail(200.0, 100.0, over_s=0.02)
    assert tail.energy_mj(np.array([0.01, 0.015, 0.02]), np.array([9.0, 0.02, 0.03])) == pytest.approx([2.0, 1.0, 0.0])


def test_where_the_clock_starts_changes_nothing() -> None:
    trace, stamps = recorded(row(10))
    late = msgspec.structs.replace(stamps, bursts=windows([(a - 1.5, b - 1.5) for a, b in row(10)]))
    moved = _model((trace, late), clock(offset_s=1.5))
    np.testing.assert_allclose(moved.bursts.energy_mj, 60.0, rtol=1e-9)


@pytest.mark.parametrize("height_mw", [20.0, 60.0])
def test_a_tail_must_be_three_errors_above_the_level(height_mw: float) -> None:
    spans = row(30, gap_s=0.3)
    ends = np.array(_ends(spans))
    heights = height_mw * (1 + 1.2 * np.where(np.arange(30) % 2, 1.0, -1.0))  # error: 0.22 of the mean, 4.5 of them
    model = _model(recorded(spans, load=boxes(ends, ends + 0.05, heights)))
    assert model.tail.over_s > model.pad_s
    wild = height_mw * (1 + 2.5 * np.where(np.arange(30) % 2, 1.0, -1.0))  # 2.1 of them
    model = _model(recorded(spans, load=boxes(ends, ends + 0.05, wild)))
    assert model.tail.over_s == model.pad_s


@pytest.mark.parametrize("behind_s", [0.01, 0.15])
def test_controls_hold_nothing_of_the_tails_before_them_and_have_none(behind_s: float) -> None:
    spans = row(24, gap_s=0.3)
    controls = [(end + behind_s, end + behind_s + 0.015) for end in _ends(spans)[::2]]
    model = _model(recorded(spans, controls=controls, load=_tails(linear_tail(), 0.08, 400.0, _ends(spans))))
    np.testing.assert_allclose(model.controls.energy_mj, 0.0, atol=0.12)
    assert model.tail.in_pad_mw[0] * model.pad_s > 0.3
    between = np.array([behind_s - model.pad_s, behind_s + 0.015 + model.pad_s])
    reached = float(np.diff(linear_tail().at(np.zeros(1), 0.08, 400.0).energy(between))[0])
    np.testing.assert_allclose(model.controls.before_mj, reached, atol=0.12)
    assert (reached > 4.0) == (behind_s < 0.1)
