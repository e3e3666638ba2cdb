"""Latency verdicts: every kind from a record made for it, and none from a clean one."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from latency_records import device_run, normal_rounds, state, summary_run

from runtimes.bench.record import DeviceRun, RunFailure, Verification
from runtimes.runners.tools.adapter import Summary
from validation.latency.analysis import LatencyLimits, Verdict, judge_run

NOT_VERIFIED = Verification(status="not verified", reason="the tool cannot")
WRONG = Verification(status="failed", reason="output 'logits': error 3 is too large")


def clean(**changes: object) -> DeviceRun:
    return device_run(normal_rounds(12.0, seed=1), **changes)  # type: ignore[arg-type]


def test_numbers_are_numpys() -> None:
    rounds = normal_rounds(12.0, seed=1)
    samples = np.concatenate([np.round(np.array(each) * 1e6) / 1e6 for each in rounds])
    report = judge_run(device_run(rounds))
    assert (report.count, report.rounds) == (50, 5)
    assert report.mean_ms == pytest.approx(samples.mean())
    assert report.sd_ms == pytest.approx(samples.std(ddof=1))
    assert (report.median_ms, report.p90_ms, report.p95_ms, report.p99_ms) == pytest.approx(
        tuple(np.percentile(samples, [50, 90, 95, 99]))
    )
    assert report.suspended_ms == 0.0
    assert (report.load_ms, report.peak_memory_bytes) == (5.0, 50_000_000)


def test_a_clean_run_is_valid() -> None:
    report = judge_run(clean())
    assert report.verdict is Verdict.VALID
    assert report.reasons == ()
    assert report.passed


def test_wrong_outputs_are_failed_not_fast() -> None:
    report = judge_run(clean(verification=WRONG))
    assert report.verdict is Verdict.FAILED
    assert not report.passed
    assert "the outputs on the device are wrong: output 'logits'" in report.reasons[0]


def test_one_wrong_round_is_enough() -> None:
    run = clean()
    rounds = (*run.rounds[:3], msgspec.structs.replace(run.rounds[3], verification=WRONG), *run.rounds[4:])
    assert judge_run(msgspec.structs.replace(run, rounds=rounds)).verdict is Verdict.FAILED


def test_unverified_outputs_are_said_so() -> None:
    report = judge_run(clean(verification=NOT_VERIFIED))
    assert (report.verdict, report.verification) == (Verdict.UNVERIFIED, "not verified")
    assert report.passed


def test_growth_is_throttling() -> None:
    rounds = [[x * (1 + 0.03 * index) for x in each] for index, each in enumerate(normal_rounds(12.0, seed=1))]
    report = judge_run(device_run(rounds))
    assert report.verdict is Verdict.THROTTLED
    assert "latency grew by" in report.reasons[0]


def test_a_raised_thermal_status_is_throttling() -> None:
    report = judge_run(clean(after=state(thermal_status=2)))
    assert report.verdict is Verdict.THROTTLED
    assert report.reasons == ("the device reported thermal status 2",)


def test_a_lowered_clock_is_throttling() -> None:
    report = judge_run(clean(after=state(max_hz=1_500_000_000)))
    assert report.verdict is Verdict.THROTTLED
    assert "clock of cores 0 was lowered" in report.reasons[0]


def test_suspension_voids_the_run() -> None:
    report = judge_run(clean(suspended_ns=300_000_000))
    assert report.verdict is Verdict.FAILED
    assert report.suspended_ms == pytest.approx(1500.0)
    assert "suspended for 1500 ms" in report.reasons[0]


def test_an_interruption_between_two_clocks_is_no_suspension() -> None:
    run = clean()
    samples = list(run.rounds[0].measured.samples)
    samples[0] = msgspec.structs.replace(samples[0], start_boottime_ns=-50_000_000)
    samples[9] = msgspec.structs.replace(samples[9], end_boottime_ns=(samples[9].end_boottime_ns or 0) + 50_000_000)
    measured = msgspec.structs.replace(run.rounds[0].measured, samples=tuple(samples))
    rounds = (msgspec.structs.replace(run.rounds[0], measured=measured), *run.rounds[1:])
    assert judge_run(msgspec.structs.replace(run, rounds=rounds)).verdict is Verdict.VALID


def test_a_fall_means_too_little_warm_up() -> None:
    rounds = [[x * (1 - 0.03 * index) for x in each] for index, each in enumerate(normal_rounds(12.0, seed=1))]
    report = judge_run(device_run(rounds))
    assert report.verdict is Verdict.NOISY
    assert any("--warmup" in reason for reason in report.reasons)


def test_scatter_is_noise() -> None:
    report = judge_run(device_run(normal_rounds(12.0, seed=2, sd=0.3)))
    assert report.verdict is Verdict.NOISY
    assert any("of the mean" in reason for reason in report.reasons)


def test_few_runs_are_noise() -> None:
    report = judge_run(device_run(normal_rounds(12.0, seed=1, rounds=1, runs=4)))
    assert report.verdict is Verdict.NOISY
    assert "only 4 runs" in report.reasons[0]


def test_single_outliers_are_a_note_and_many_are_noise() -> None:
    rounds = normal_rounds(12.0, seed=1)
    rounds[0][3] = 15.0
    report = judge_run(device_run(rounds))
    assert (report.verdict, report.outliers) == (Verdict.VALID, 1)
    assert "1 of 50 runs" in report.notes[0]
    for each in rounds:
        each[0] = each[1] = 15.0
    assert judge_run(device_run(rounds)).verdict is Verdict.NOISY


def test_incomplete_and_failed_records_fail() -> None:
    whole = clean()
    report = judge_run(msgspec.structs.replace(whole, rounds=whole.rounds[:-1], complete=False))
    assert report.verdict is Verdict.FAILED
    assert "incomplete: 4 of 5 rounds" in report.reasons[0] and "--resume" in report.reasons[0]
    waiting_for_energy = msgspec.structs.replace(whole, complete=False)
    assert judge_run(waiting_for_energy).verdict is Verdict.VALID
    failure = RunFailure(message="small.onnx on 8BC1: ended by signal 9 (SIGKILL)", hint="less memory")
    empty = msgspec.structs.replace(clean(complete=False), rounds=(), failure=failure)
    report = judge_run(empty)
    assert (report.verdict, report.count, report.mean_ms) == (Verdict.FAILED, 0, None)
    assert report.reasons == (failure.message,)


def test_the_worst_verdict_wins_and_all_reasons_stay() -> None:
    report = judge_run(clean(verification=NOT_VERIFIED, after=state(thermal_status=3)))
    assert report.verdict is Verdict.THROTTLED
    assert len(report.reasons) == 2


def test_summaries_are_pooled() -> None:
    samples = np.array(normal_rounds(12.0, seed=1)) * 1e6
    summaries = [
        Summary(count=10, mean_ns=s.mean(), sd_ns=s.std(), min_ns=s.min(), max_ns=s.max(), median_ns=np.median(s))
        for s in samples
    ]
    report = judge_run(summary_run(summaries, verification=NOT_VERIFIED))
    assert report.mean_ms == pytest.approx(samples.mean() / 1e6)
    assert report.sd_ms == pytest.approx(samples.std(ddof=1) / 1e6)
    assert (report.p90_ms, report.median_low_ms, report.trend) == (None, None, None)
    assert report.verdict is Verdict.UNVERIFIED


def test_old_records_are_judged_again_with_other_limits() -> None:
    text = device_run(normal_rounds(12.0, seed=2, sd=0.07)).to_json()
    again = DeviceRun.from_json(text)
    assert judge_run(again).verdict is Verdict.VALID
    assert judge_run(again, LatencyLimits(deviation=0.05)).verdict is Verdict.NOISY
    assert judge_run(again).to_json() == judge_run(DeviceRun.from_json(text)).to_json()


@given(st.lists(st.lists(st.floats(0.001, 1e5), min_size=1, max_size=8), min_size=1, max_size=4))
def test_any_samples_give_a_report_whose_numbers_are_in_order(rounds: list[list[float]]) -> None:
    report = judge_run(device_run(rounds))
    numbers = (report.min_ms, report.median_ms, report.p90_ms, report.p95_ms, report.p99_ms, report.max_ms)
    assert all(a is not None and b is not None and a <= b + 1e-9 for a, b in itertools.pairwise(numbers))
    assert report.median_low_ms <= report.median_high_ms  # type: ignore[operator]


def two_levels(low_ms: float, high_ms: float) -> list[list[float]]:
    """Half of the runs of each round are at either level: the median may be anywhere between."""
    return [[low_ms, high_ms] * 5 for _ in range(5)]


def rising(factor: float) -> DeviceRun:
    """Steady growth, the same in every round, so that only the trend speaks."""
    return device_run([[10.0 + factor * (10 * index + run) for run in range(10)] for index in range(5)])


def test_a_median_between_two_levels_is_uncertain() -> None:
    report = judge_run(device_run(two_levels(10.0, 12.0)))
    assert report.verdict is Verdict.NOISY
    assert report.reasons == ("the median is uncertain by 14%: use more runs or a quieter device",)
    assert judge_run(device_run(two_levels(10.0, 10.5))).reasons == ()


def reasons(run: DeviceRun, **limits: float) -> tuple[str, ...]:
    return judge_run(run, LatencyLimits(**limits)).reasons  # type: ignore[arg-type]


def test_limits_hold_up_to_and_with_themselves() -> None:
    between = device_run(two_levels(3.0, 5.0))
    report = judge_run(between)
    assert report.median_low_ms is not None and report.median_high_ms is not None
    wide = (report.median_high_ms - report.median_low_ms) / 2 / 4.0
    assert wide == pytest.approx(0.394, abs=0.001)  # 3 and 5, by the factors of five rounds
    assert reasons(between, interval=wide, deviation=1.0) == ()
    assert len(reasons(between, interval=float(np.nextafter(wide, 0)), deviation=1.0)) == 1
    scattered = device_run([[2.0, 6.0, 4.0]])  # mean 4, deviation 2
    assert reasons(scattered, deviation=0.5, interval=2.0, min_samples=3) == ()
    assert len(reasons(scattered, deviation=0.4999, interval=2.0, min_samples=3)) == 1
    assert reasons(scattered, deviation=0.5, interval=2.0, min_samples=4) == ("only 3 runs: use at least 4",)
    far = [[15.0 if run < index else 12.0 + run / 100 for run in range(10)] for index in (0, 1, 1, 1, 2)]
    assert reasons(device_run(far)) == ()  # 5 of 50
    assert reasons(device_run([[15.0, *far[0][1:]], *far[1:]])) == ("6 of 50 runs are outliers",)


def test_the_defaults_are_the_documented_ones() -> None:
    limits = LatencyLimits()
    assert (limits.drift, limits.drift_p, limits.interval) == (0.05, 0.01, 0.05)
    assert (limits.deviation, limits.outlier_share, limits.suspended_ms, limits.min_samples) == (0.2, 0.1, 1.0, 10)


@pytest.mark.parametrize("factor", [0.015, -0.015])
def test_drift_must_be_beyond_both_limits(factor: float) -> None:
    run = rising(factor)
    found = judge_run(run).trend
    assert found is not None
    size, p = abs(found.growth), found.p_value
    assert reasons(run, drift=size) == ()
    assert reasons(run, drift_p=p) == ()
    beyond = {"drift": float(np.nextafter(size, 0)), "drift_p": float(np.nextafter(p, 1))}
    assert reasons(run, **beyond) == (
        (f"latency grew by {size:.1%} over the run (p = {p:.2g})",)
        if factor > 0
        else (f"latency fell by {size:.1%} over the run: warm up longer (--warmup)",)
    )


def test_one_run_has_no_deviation() -> None:
    report = judge_run(device_run([[12.0]]))
    assert (report.mean_ms, report.sd_ms, report.median_ms, report.suspended_ms) == (12.0, 0.0, 12.0, 0.0)
    assert report.reasons == ("only 1 runs: use at least 10",)
    assert judge_run(device_run([[10.0, 12.0]])).sd_ms == pytest.approx(2**0.5)
    told = judge_run(summary_run([Summary(count=1, mean_ns=12e6, sd_ns=0.0)]))
    assert (told.count, told.mean_ms, told.sd_ms) == (1, 12.0, None)
    assert judge_run(summary_run([Summary(count=2, mean_ns=12e6, sd_ns=1e6)])).sd_ms == pytest.approx(2**0.5)


def test_a_suspension_counts_wherever_it_happens() -> None:
    run = device_run([[5.0, 5.0, 5.0, 5.0]])
    samples = run.rounds[0].measured.samples
    for first in (1, 2, 3):
        late = [
            msgspec.structs.replace(
                each,
                start_boottime_ns=(each.start_boottime_ns or 0) + 1_000_000,
                end_boottime_ns=(each.end_boottime_ns or 0) + 1_000_000,
            )
            for each in samples[first:]
        ]
        measured = msgspec.structs.replace(run.rounds[0].measured, samples=(*samples[:first], *late))
        slept = msgspec.structs.replace(run, rounds=(msgspec.structs.replace(run.rounds[0], measured=measured),))
        assert judge_run(slept).suspended_ms == 1.0
        assert reasons(slept, min_samples=4) == ()  # one millisecond is the limit
        assert len(reasons(slept, min_samples=4, suspended_ms=0.999)) == 1


def test_without_stamps_nothing_is_said_of_suspension() -> None:
    run = device_run([[5.0] * 10, [5.0] * 10], suspended_ns=2_000_000)
    bare = msgspec.structs.replace(run.rounds[0].measured.samples[3], end_boottime_ns=None)
    samples = (*run.rounds[0].measured.samples[:3], bare, *run.rounds[0].measured.samples[4:])
    measured = msgspec.structs.replace(run.rounds[0].measured, samples=samples)
    half = msgspec.structs.replace(run.rounds[0], measured=measured)
    assert judge_run(msgspec.structs.replace(run, rounds=(half, run.rounds[1]))).suspended_ms == 2.0
    assert judge_run(msgspec.structs.replace(run, rounds=(half,))).suspended_ms is None


def test_a_record_without_rounds_is_not_verified() -> None:
    empty = msgspec.structs.replace(clean(complete=False), rounds=())
    report = judge_run(empty)
    assert (report.verification, report.runner, report.model, report.load_ms) == ("not verified", "python", "", None)
    assert report.reasons == ("incomplete: 0 of 5 rounds were run; --resume continues",)
    assert report.notes == ()


def test_no_more_rounds_are_missed_than_there_are_runs() -> None:
    run = device_run([[5.0], [5.0], [5.0]])
    many = msgspec.structs.replace(run, workload=msgspec.structs.replace(run.workload, rounds=9))
    assert reasons(many, min_samples=3) == ()


def test_wrong_rounds_hide_those_that_were_not_verified() -> None:
    run = clean(verification=NOT_VERIFIED)
    mixed = (*run.rounds[:4], msgspec.structs.replace(run.rounds[4], verification=WRONG))
    report = judge_run(msgspec.structs.replace(run, rounds=mixed))
    assert report.verification == "failed"
    assert report.reasons == (f"the outputs on the device are wrong: {WRONG.reason}",)


def test_heat_before_a_round_counts_as_heat_after_it() -> None:
    run = clean()
    hot = msgspec.structs.replace(run.rounds[2], before=state(thermal_status=1), after=state(thermal_status=None))
    assert judge_run(msgspec.structs.replace(run, rounds=(*run.rounds[:2], hot, *run.rounds[3:]))).reasons == (
        "the device reported thermal status 1",
    )


@pytest.mark.parametrize(("before_hz", "after_hz"), [(None, 1_500_000_000), (2_000_000_000, None)])
def test_clocks_that_cannot_be_read_were_not_lowered(before_hz: int | None, after_hz: int | None) -> None:
    run = clean(after=state(max_hz=after_hz))  # type: ignore[arg-type]
    unknown = state(max_hz=before_hz)  # type: ignore[arg-type]
    rounds = tuple(msgspec.structs.replace(each, before=unknown) for each in run.rounds)
    assert judge_run(msgspec.structs.replace(run, rounds=rounds)).reasons == ()


def test_facts_of_the_rounds_are_their_medians_and_the_largest_memory() -> None:
    run = clean()
    facts = [(5_000_000, 9_000_000, 40), (7_000_000, 8_000_000, 90), (1_000_000, None, None)]
    rounds = tuple(
        msgspec.structs.replace(
            each,
            measured=msgspec.structs.replace(each.measured, load_ns=load, first_ns=first, peak_memory_bytes=peak),
        )
        for each, (load, first, peak) in zip(run.rounds, facts, strict=False)
    )
    report = judge_run(msgspec.structs.replace(run, rounds=rounds))
    assert (report.load_ms, report.first_ms, report.peak_memory_bytes) == (5.0, 8.5, 90)
    assert (report.model, report.runtime, report.threads) == ("Maker Phone 1", "onnxruntime 1.31.1", 1)


def test_summaries_that_know_different_things() -> None:
    summaries = [
        Summary(count=10, mean_ns=10e6, sd_ns=1e6, min_ns=8e6, max_ns=13e6, median_ns=10e6),
        Summary(count=30, mean_ns=14e6, max_ns=20e6, median_ns=13e6),
        Summary(count=10, mean_ns=12e6, min_ns=9e6),
    ]
    report = judge_run(summary_run(summaries))
    assert (report.count, report.mean_ms, report.sd_ms) == (50, pytest.approx(12.8), None)
    assert (report.min_ms, report.max_ms, report.median_ms) == (8.0, 20.0, 11.5)
    assert report.notes[0] == "the tool gives a summary only: no percentiles, interval or trend"
    bare = judge_run(summary_run([Summary(count=5, mean_ns=1e6)]))
    assert (bare.min_ms, bare.max_ms, bare.median_ms, bare.sd_ms) == (None, None, None, None)


def test_what_speaks_against_the_device_at_the_start_is_a_note() -> None:
    run = clean()
    rounds = (msgspec.structs.replace(run.rounds[0], before=state(thermal_status=None)), *run.rounds[1:])
    tired = msgspec.structs.replace(rounds[0].before, low_power_mode=True, screen="asleep")
    report = judge_run(
        msgspec.structs.replace(run, rounds=(msgspec.structs.replace(rounds[0], before=tired), *rounds[1:]))
    )
    assert report.verdict is Verdict.VALID
    assert report.notes == (
        "at the start: battery saver is on: it lowers the clocks",
        "at the start: the screen is asleep: the device may suspend in the middle of a run",
    )
    assert judge_run(run).notes == ()


@pytest.mark.parametrize(
    ("verification", "reason"),
    [
        (WRONG, f"the outputs on the device are wrong: {WRONG.reason}"),
        (NOT_VERIFIED, f"outputs not verified: {NOT_VERIFIED.reason}"),
    ],
)
def test_what_all_rounds_say_is_said_once(verification: Verification, reason: str) -> None:
    run = clean(verification=verification)
    varied = [
        msgspec.structs.replace(each, verification=msgspec.structs.replace(verification, reason=f"{index}"))
        for index, each in enumerate(run.rounds[1:])
    ]
    assert judge_run(msgspec.structs.replace(run, rounds=(run.rounds[0], *varied))).reasons == (reason,)


def test_the_same_record_gives_the_same_report_and_another_seed_another_interval() -> None:
    run = clean()
    assert judge_run(run) == judge_run(run, seed=0)
    assert judge_run(run, seed=1).median_low_ms != judge_run(run, seed=0).median_low_ms
