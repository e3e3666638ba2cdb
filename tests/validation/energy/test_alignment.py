"""Where the runner's stamps lie in the trace: clock and lengths against recordings whose clock is known."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from power_boxes import clock, recorded, row
from power_course import exponential_tail, inference_shape
from power_judged import SOUND, jumped, moved, with_lost, with_stamps
from power_physics import Case, Setup, build, layout_of
from trace_section import section

from edgevit.errors import FailureError
from runtimes.power.stamps import Window
from validation.energy.alignment import Alignment, align, busy_windows
from validation.energy.model import LEAST_PAD_S, PAD_SHARE
from validation.energy.signal import signal_of

LONG = replace(SOUND, latency_s=0.1, gap_s=0.3, plan=(1,) * 75, drift_ppm=0.0)  # 30 s
BASE = build(SOUND, 1)
ALONE = build(replace(SOUND, pulses=False), 1)


def _align(case: Case) -> Alignment:
    return align(signal_of(case.trace), case.stamps)


def _off_s(setup: Setup, seed: int) -> float:
    """How far a burst is off where it was, at most."""
    case, layout = build(setup, seed), layout_of(setup, seed)
    starts, ends = _align(case).to_trace(case.stamps.bursts)
    found = np.stack([starts, ends], axis=1)
    return float(np.abs(found - layout.bursts).max())


@pytest.mark.parametrize("pulses", [True, False])
@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 1000.0, 5000.0])
@pytest.mark.parametrize("drift_ppm", [-100.0, 0.0, 100.0])
def test_every_burst_is_found_within_the_pad(rate_hz: float, drift_ppm: float, pulses: bool) -> None:
    setup = replace(LONG, rate_hz=rate_hz, drift_ppm=drift_ppm, pulses=pulses)
    off_s = _off_s(setup, 7)
    assert off_s < 1 / rate_hz + max(LEAST_PAD_S, PAD_SHARE * setup.burst_s)
    assert off_s < max(0.25 / rate_hz, 0.0003), "much better, where there is little noise"


@pytest.mark.parametrize("drift_ppm", [-200.0, -100.0, 100.0, 200.0])
@pytest.mark.parametrize("pulses", [True, False])
def test_drift_is_the_clocks_the_other_way_round(drift_ppm: float, pulses: bool) -> None:
    found = _align(build(replace(LONG, drift_ppm=drift_ppm, pulses=pulses), 3))
    assert found.drift * 1e6 == pytest.approx(-drift_ppm, abs=8.0)
    assert found.residual_s < 0.0005 and found.sections == 16
    assert abs(found.longer_s) < 0.0005


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "changes",
    [
        {"noise_mw": 150.0},
        {"tail_height": 0.6, "tail": exponential_tail(0.7)},
        {"shape": inference_shape([1, 1], [0.8, 1.2], 0.2, 0.3, True)},
        {"gap_spread": 0.6, "latency_jitter": 0.03},
        {"plan": (1, 3, 0) * 20, "gap_spread": 0.6},
        {"wander_mw": 60.0, "lost_share": 0.01, "lost_runs": 10},
        {"meter": "point"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_noise_ramps_and_tails_do_not_move_the_clock(changes: dict[str, object], seed: int) -> None:
    setup = replace(SOUND, **changes)  # type: ignore[arg-type]
    assert _off_s(setup, seed) < 1 / setup.rate_hz + PAD_SHARE * setup.burst_s


@pytest.mark.parametrize("epoch_s", [0.5, 5e8])
def test_a_clock_may_have_begun_at_any_time(epoch_s: float) -> None:
    assert _off_s(replace(SOUND, epoch_s=epoch_s), 2) < 0.0005


@pytest.mark.parametrize(("idle_before_s", "idle_after_s"), [(0.6, 12.0), (12.0, 0.6)])
def test_the_run_may_lie_anywhere_in_the_trace(idle_before_s: float, idle_after_s: float) -> None:
    setup = replace(SOUND, idle_before_s=idle_before_s, idle_after_s=idle_after_s)
    assert _off_s(setup, 2) < 0.0005


@pytest.mark.parametrize(("start_ms", "end_ms"), [(0.0, 3.0), (-2.0, 0.0), (-1.0, 2.0), (0.0, -3.0), (2.0, 0.0)])
def test_how_much_longer_the_stamps_are_than_the_power(start_ms: float, end_ms: float) -> None:
    found = _align(with_stamps(BASE, bursts=moved(BASE.stamps.bursts, start_ms, end_ms)))
    assert found.longer_s * 1e3 == pytest.approx(end_ms - start_ms, abs=0.4)


def test_windows_that_are_shifted_as_a_whole_are_no_longer_than_before() -> None:
    found = _align(with_stamps(ALONE, bursts=moved(ALONE.stamps.bursts, 2.0, 2.0)))
    assert abs(found.longer_s) < 0.0004 and found.residual_s < 0.0004


def test_the_right_place_is_sure_and_a_wrong_run_is_not() -> None:
    assert _align(BASE).place_sigma > 50
    for gap_s, seed in ((0.13, 2), (0.1, 3), (0.08, 4)):
        other = build(replace(SOUND, gap_s=gap_s, gap_spread=0.3), seed)
        assert _align(replace(BASE, stamps=other.stamps)).place_sigma < 5.5


def test_pulses_in_the_trace_that_nobody_stamped_make_the_place_doubtful() -> None:
    assert _align(with_stamps(BASE, pulses=())).place_sigma < 5.5


def test_nothing_but_noise_has_no_place() -> None:
    noise = np.random.default_rng(0).normal(800, 30, len(BASE.trace.power_mw))
    found = _align(replace(BASE, trace=replace(BASE.trace, power_mw=noise)))
    assert found.place_sigma < 5.5
    assert np.isnan(found.longer_s) or found.sections < 16


def test_a_run_without_pulses_and_with_even_gaps_is_found_by_its_ends() -> None:
    assert _align(ALONE).place_sigma > 5.5
    assert _off_s(replace(SOUND, pulses=False), 5) < 0.0005


def test_a_clock_that_jumps_leaves_a_residual_of_its_size() -> None:
    found = _align(replace(BASE, stamps=jumped(BASE.stamps, 6.0)))
    assert 0.0015 < found.residual_s < 0.006
    assert _align(BASE).residual_s < 0.0003


def test_stamps_longer_than_the_trace_are_not_of_the_same_run() -> None:
    with pytest.raises(FailureError, match=r"stamps span \d+\.\d s but the trace only 3\.0 s: not of the same run"):
        align(signal_of(section(BASE.trace, 0, 3)), BASE.stamps)


def test_a_trace_that_is_as_long_as_the_run_is_enough() -> None:
    busy = busy_windows(BASE.stamps)
    span = (busy[-1].end_ns - busy[0].start_ns) * 1e-9
    start = SOUND.idle_before_s + 0.3
    assert align(signal_of(section(BASE.trace, start - 0.02, start + span + 0.02)), BASE.stamps).sections > 0


def test_to_trace_maps_by_pivot_offset_and_drift() -> None:
    alignment = replace(clock(offset_s=3.0), pivot_s=100.0, drift=1e-3)
    starts, ends = alignment.to_trace((Window(start_ns=100_000_000_000, end_ns=101_000_000_000),))
    assert (starts[0], ends[0]) == (pytest.approx(3.0), pytest.approx(4.001))


def test_nanoseconds_of_a_clock_that_runs_for_years_are_kept() -> None:
    start = 10**17 + 1
    alignment = replace(clock(), pivot_s=start / 1e9)
    starts, ends = alignment.to_trace((Window(start_ns=start, end_ns=start + 1000),))
    assert ends[0] - starts[0] == pytest.approx(1e-6, rel=1e-9)


def test_lost_samples_at_every_edge_are_no_reason_to_lose_the_clock() -> None:
    lost = np.random.default_rng(1).random(len(BASE.trace.power_mw)) < 0.05
    found = _align(with_lost(BASE, lost))
    assert found.residual_s < 0.001 and found.place_sigma > 50


def test_many_bursts_are_as_exact_as_few() -> None:
    assert _off_s(replace(SOUND, plan=(1,) * 400, gap_s=0.05), 1) < 0.0005


def test_bursts_back_to_back_are_found_by_the_ends_of_the_row() -> None:
    trace, stamps = recorded(row(20, gap_s=0.0, first_s=3.0))
    found = align(signal_of(trace), stamps)
    starts, ends = found.to_trace(stamps.bursts)
    assert (starts[0], ends[-1]) == (pytest.approx(3.0, abs=0.001), pytest.approx(4.2, abs=0.001))


def test_all_that_was_busy_is_in_order_of_time() -> None:
    stamps = BASE.stamps
    busy = busy_windows(stamps)
    assert len(busy) == len(stamps.pulses) + len(stamps.warmup) + len(stamps.bursts)
    assert list(busy) == sorted(busy, key=lambda window: window.start_ns)
    assert busy_windows(msgspec.structs.replace(stamps, pulses=(), warmup=())) == stamps.bursts


def test_a_clock_that_is_off_by_more_than_a_burst_at_the_ends_is_found() -> None:
    setup = replace(SOUND, latency_s=0.010, gap_spread=0.5, plan=(1,) * 500, pulses=False, drift_ppm=200.0)
    assert _off_s(setup, 1) < 0.0005


def test_a_trace_that_is_a_little_shorter_than_the_run_is_of_another() -> None:
    busy = busy_windows(BASE.stamps)
    span = (busy[-1].end_ns - busy[0].start_ns) * 1e-9
    with pytest.raises(FailureError, match="not of the same run"):
        align(signal_of(section(BASE.trace, 0, span - 0.1)), BASE.stamps)
