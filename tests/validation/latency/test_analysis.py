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
    text = device_run(normal_rounds(12.0, seed=2, sd=0.1)).to_json()
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
