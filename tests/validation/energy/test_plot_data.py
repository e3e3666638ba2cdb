"""What a drawing shows, on a trace that is laid out by hand here."""

from __future__ import annotations

import numpy as np
import pytest

from runtimes.power.stamps import RunStamps, Window
from runtimes.power.trace import CALIBRATION, LOST, PowerTrace
from validation.energy.analysis import analyze_energy, examine
from validation.energy.evidence import Evidence
from validation.energy.plot_data import Fold, Spans, closer_look, course_of, folds_of, merged, spans_of

RATE_HZ = 1000.0
FIRST_S, CYCLE_S, LASTS_S, BURSTS = 4.0, 0.25, 0.05, 20
BURST_MW, TAIL_MW, LATE_MW, IDLE_MW = 1000.0, 200.0, 20.0, 500.0
HOLE = 7  # the burst that was lost


def trace_of() -> PowerTrace:
    """Bursts of 50 ms every 250 ms, a tail of 30 ms, 20 mW more from 120 to 150 ms after the end, one burst lost."""
    seconds = np.arange(int(14 * RATE_HZ)) / RATE_HZ
    since = (seconds - FIRST_S + 1e-9) % CYCLE_S
    running = (seconds >= FIRST_S - 1e-9) & (seconds < FIRST_S + BURSTS * CYCLE_S - 1e-9)
    power = np.where(since < LASTS_S, BURST_MW, 0.0)
    power += np.where((since >= LASTS_S) & (since < LASTS_S + 0.03), TAIL_MW, 0.0)
    power += np.where((since >= LASTS_S + 0.12) & (since < LASTS_S + 0.15), LATE_MW, 0.0)
    power = IDLE_MW + np.where(running, power, 0.0) + np.random.default_rng(0).normal(0.0, 2.0, len(seconds))
    flags = np.zeros(len(seconds), np.uint8)
    start = int((FIRST_S + HOLE * CYCLE_S) * RATE_HZ)
    flags[start + 5 : start + 45] = LOST
    flags[100:102] = CALIBRATION
    power[flags > 0] = np.nan
    return PowerTrace(RATE_HZ, power, flags)


@pytest.fixture(scope="module")
def trace() -> PowerTrace:
    return trace_of()


@pytest.fixture(scope="module")
def evidence(trace: PowerTrace) -> Evidence:
    starts = [round((FIRST_S + index * CYCLE_S) * 1e9) for index in range(BURSTS)]
    bursts = tuple(Window(start_ns=start, end_ns=start + round(LASTS_S * 1e9)) for start in starts)
    return examine(trace, RunStamps(bursts=bursts))


def at(fold: Fold, seconds: float) -> float:
    return float(fold.mean_mw[int(np.argmin(np.abs(fold.seconds - seconds)))])


def test_a_course_shows_single_samples_and_holes() -> None:
    power = np.full(100_000, 500.0)
    power[12_345], power[50_000:51_000] = 9000.0, np.nan
    course = course_of(PowerTrace(RATE_HZ, power, np.zeros(100_000, np.uint8)), 0.0, 100.0, 200)
    assert len(course.seconds) == 200
    assert course.high_mw[12_345 // 500] == 9000.0 and course.low_mw[12_345 // 500] == 500.0
    assert np.flatnonzero(np.isnan(course.high_mw)).tolist() == [100, 101]
    few = course_of(PowerTrace(RATE_HZ, power, np.zeros(100_000, np.uint8)), 12.340, 12.350, 200)
    assert few.high_mw.tolist() == [500.0] * 5 + [9000.0] + [500.0] * 4
    assert few.seconds[5] == pytest.approx(12.3455)


def test_spans_that_no_dot_tells_apart_are_one() -> None:
    spans = Spans("windows", np.array([0.0, 1.0, 1.2, 3.0]), np.array([0.5, 1.1, 1.3, 3.5]))
    joined = merged(spans, 0.2)
    assert joined.starts_s.tolist() == [0.0, 1.0, 3.0] and joined.ends_s.tolist() == [0.5, 1.3, 3.5]
    assert merged(spans, 0.05).starts_s.tolist() == spans.starts_s.tolist()


def test_spans_are_where_things_are(trace: PowerTrace, evidence: Evidence) -> None:
    report = analyze_energy(trace, stamps=evidence.stamps)
    spans = {each.name: each for each in spans_of(report, trace, evidence)}
    starts = FIRST_S + CYCLE_S * np.arange(BURSTS)
    assert spans["windows"].starts_s == pytest.approx(np.delete(starts, HOLE), abs=2e-3)
    assert spans["excluded"].starts_s == pytest.approx(starts[HOLE : HOLE + 1], abs=2e-3)
    assert spans["lost samples"].starts_s == pytest.approx(starts[HOLE : HOLE + 1] + 0.005)
    assert spans["lost samples"].ends_s == pytest.approx(starts[HOLE : HOLE + 1] + 0.045)
    before, after = zip(spans["idle used"].starts_s, spans["idle used"].ends_s, strict=True)
    assert before[1] < FIRST_S and after[0] > FIRST_S + BURSTS * CYCLE_S - CYCLE_S
    assert "controls" not in spans and "sync pulses" not in spans


def test_windows_laid_together_show_the_tail_and_a_small_step(evidence: Evidence) -> None:
    (start,), (end,) = folds_of(evidence, at_end=False), folds_of(evidence, at_end=True)
    assert start.windows == end.windows == BURSTS - 1
    assert at(start, 0.02) == pytest.approx(BURST_MW, abs=15) and at(start, -0.02) == pytest.approx(0.0, abs=8)
    assert at(end, -0.02) == pytest.approx(BURST_MW, abs=15) and at(end, 0.015) == pytest.approx(TAIL_MW, abs=8)
    for fold, late_s in ((end, 0.135), (start, 0.135 - CYCLE_S + LASTS_S)):
        assert at(fold, late_s) - at(fold, late_s + 0.03) == pytest.approx(LATE_MW, abs=3)
        assert at(fold, late_s) - at(fold, late_s - 0.03) == pytest.approx(LATE_MW, abs=3)
    known = np.isfinite(end.mean_mw)
    assert np.all(end.low_mw[known] <= end.high_mw[known]) and end.seconds[known][-1] < CYCLE_S - LASTS_S


def test_a_closer_look_is_at_the_least_usual_window(trace: PowerTrace, evidence: Evidence) -> None:
    heavier = trace_of()
    start = int((FIRST_S + 12 * CYCLE_S) * RATE_HZ)
    heavier.power_mw[start + 2 : start + 48] += 100.0
    odd = examine(heavier, evidence.stamps)
    spans = spans_of(analyze_energy(heavier, stamps=evidence.stamps), heavier, odd)
    start_s, end_s, what = closer_look(spans, odd, heavier.seconds)
    assert "no. 13," in what and start_s < FIRST_S + 10 * CYCLE_S and end_s > FIRST_S + 14 * CYCLE_S
    assert end_s - start_s < 6 * CYCLE_S
    assert closer_look([], None, trace.seconds)[:2] == (0.0, trace.seconds)
