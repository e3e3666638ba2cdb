"""Comparison of two records: real differences are found, noise is not, and regressions fail."""

from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest
from latency_records import device_run, normal_rounds, summary_run
from report_records import three_precisions

from edgevit.spec import Layout, TensorSpec
from runtimes.bench.record import DeviceRun, Verification
from runtimes.bench.request import Conditions
from runtimes.runners.tools.adapter import Summary
from validation.latency.compare import Comparison, ComparisonLimits, Outcome, compare_runs

FIVE_PERCENT = ComparisonLimits(max_regression=0.05)


def compare(ratio: float, *, sd: float = 0.01, limits: ComparisonLimits = FIVE_PERCENT, seed: int = 1) -> Comparison:
    first = device_run(normal_rounds(10.0, seed=seed, sd=sd))
    second = device_run(normal_rounds(10.0 * ratio, seed=seed + 1000, sd=sd))
    return compare_runs(first, second, limits)


def test_a_regression_fails() -> None:
    result = compare(1.10)
    assert (result.outcome, result.passed) == (Outcome.SLOWER, False)
    assert "slower by" in result.reasons[0]
    assert result.ratio == pytest.approx(1.10, abs=0.02)


def test_a_small_real_regression_passes_within_the_limit() -> None:
    result = compare(1.03)
    assert (result.outcome, result.passed) == (Outcome.SLOWER, True)


def test_without_a_limit_nothing_fails_on_speed() -> None:
    assert compare(1.5, limits=ComparisonLimits()).passed


def test_an_improvement_is_seen() -> None:
    result = compare(0.9)
    assert (result.outcome, result.passed) == (Outcome.FASTER, True)
    assert result.ratio_high is not None
    assert result.ratio_high < 1


def test_noise_is_called_noise() -> None:
    outcomes = [compare(1.0, sd=0.05, seed=seed).outcome for seed in range(60)]
    assert outcomes.count(Outcome.SAME) >= 58


@pytest.mark.parametrize("rounds", [2, 5])
def test_rounds_that_differ_by_themselves_are_no_difference(rounds: int) -> None:
    """Two records of one file on a restless machine: every process has a latency of its own."""
    generator, real = np.random.default_rng(rounds), 0
    for seed in range(60):
        records = [
            device_run([[10 * math.exp(level + 0.01 * x) for x in generator.normal(size=30)] for level in levels])
            for levels in 0.03 * generator.normal(size=(2, rounds))
        ]
        real += compare_runs(records[0], records[1], seed=seed).outcome is not Outcome.SAME
    assert real <= 8  # a third of those of two rounds were, by the runs alone


def test_one_round_tells_little_and_says_so() -> None:
    """Runs of one process agree far better than two processes do."""

    def run(ms: float) -> DeviceRun:
        return device_run([[ms + 0.01 * (index % 7) for index in range(50)]])

    near, far = (compare_runs(run(10.0), run(ms), FIVE_PERCENT) for ms in (10.4, 11.5))
    assert (near.outcome, near.passed) == (Outcome.SAME, True)
    between = compare_runs(run(10.0), run(10.7), FIVE_PERCENT)
    assert (between.outcome, between.passed) == (Outcome.UNDECIDED, False), "it may be 7 % slower, or not at all"
    assert (far.outcome, far.passed) == (Outcome.SLOWER, False)
    assert sum("has one round" in warning for warning in near.warnings) == 2
    assert any("may be slower by up to" in warning for warning in near.warnings)
    five = device_run([[10.7 + 0.01 * (index % 7) for index in range(10)] for _ in range(5)])
    mixed = compare_runs(run(10.0), five)
    (said,) = [warning for warning in mixed.warnings if "has one round" in warning]
    assert said.startswith("the first record") and "is taken to be 3%" in said
    assert mixed.outcome is Outcome.SLOWER, "7 % is more than one unknown process explains"


def test_what_the_scatter_may_hide_is_said_where_there_is_a_limit() -> None:
    assert any("may be slower by up to" in warning for warning in compare(1.0, sd=0.4).warnings)
    assert not any("may be slower" in warning for warning in compare(1.0, sd=0.01).warnings)
    assert not any("may be slower" in warning for warning in compare(1.0, sd=0.4, limits=ComparisonLimits()).warnings)


def test_an_estimate_beyond_the_limit_that_may_be_noise_is_no_answer_and_no_pass() -> None:
    generator = np.random.default_rng(4)
    noisy = [device_run([[5 * scale * level * x for x in generator.lognormal(sigma=0.1, size=10)] for level in (1, 2)])
             for scale in (1, 2.4)]  # fmt: skip
    result = compare_runs(noisy[0], noisy[1], FIVE_PERCENT)
    assert result.ratio is not None and result.ratio_low is not None
    assert result.ratio > 1.05 and result.ratio_low < 1
    assert (result.outcome, result.passed) == (Outcome.UNDECIDED, False)
    (reason,) = result.reasons
    assert reason.startswith("cannot be told") and "more --rounds or a quieter device" in reason
    assert compare_runs(noisy[0], noisy[1]).outcome is Outcome.SAME, "nobody asked for a limit"
    assert compare_runs(noisy[0], noisy[1]).passed
    assert compare_runs(noisy[1], noisy[0], FIVE_PERCENT).passed, "it is faster, if anything"


def test_an_estimate_within_the_limit_passes_however_much_it_scatters() -> None:
    seen = [result for seed in range(20) if (result := compare(1.0, sd=0.4, seed=seed)).outcome is Outcome.SAME]
    assert len(seen) > 5 and all(each.passed and each.ratio is not None and each.ratio <= 1.05 for each in seen)


@pytest.mark.parametrize("level", [0.01, 0.03])
def test_equal_files_of_five_rounds_keep_a_limit(level: float) -> None:
    """Two records of one file: a gate that fails for nothing is switched off."""
    generator, failed = np.random.default_rng(7), 0
    for seed in range(60):
        records = [
            device_run([[10 * math.exp(each + 0.01 * x) for x in generator.normal(size=10)] for each in levels])
            for levels in level * generator.normal(size=(2, 5))
        ]
        failed += not compare_runs(records[0], records[1], FIVE_PERCENT, seed=seed).passed
    assert failed <= (0 if level == 0.01 else 3)


def test_swapping_turns_the_ratio_round() -> None:
    first, second = (device_run(normal_rounds(mean, seed=3)) for mean in (10.0, 11.0))
    there, back = compare_runs(first, second), compare_runs(second, first)
    assert there.ratio is not None
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert (there.outcome, back.outcome) == (Outcome.SLOWER, Outcome.FASTER)


def test_a_failed_record_cannot_be_compared() -> None:
    wrong = device_run(normal_rounds(5.0, seed=1), verification=Verification(status="failed", reason="wrong"))
    result = compare_runs(device_run(normal_rounds(10.0, seed=2)), wrong)
    assert (result.outcome, result.passed, result.ratio) == (Outcome.UNDECIDED, False, None)
    assert "the second record" in result.reasons[0]


def test_too_few_samples_are_no_pass() -> None:
    few = device_run([[1.0, 1.1]])
    result = compare_runs(few, few, FIVE_PERCENT)
    assert (result.outcome, result.passed) == (Outcome.UNDECIDED, False)


def test_summaries_are_compared_by_their_rounds() -> None:
    def run(mean_ms: float) -> DeviceRun:  # five rounds, as a tool is run by default
        return summary_run([Summary(count=10, mean_ns=(mean_ms + 0.01 * i) * 1e6, sd_ns=1e4) for i in range(5)])

    assert compare_runs(run(10.0), run(12.0), FIVE_PERCENT).outcome is Outcome.SLOWER
    assert compare_runs(run(10.0), run(10.0), FIVE_PERCENT).outcome is Outcome.SAME


def test_what_else_differs_is_said() -> None:
    first = device_run(normal_rounds(10.0, seed=1))
    second = msgspec.structs.replace(device_run(normal_rounds(10.0, seed=2), threads=4), device="other")
    warnings = compare_runs(first, second).warnings
    assert any(warning.startswith("unlike device: 8BC1") for warning in warnings)
    assert "unlike threads: 1 and 4" in warnings


def with_shape(run: DeviceRun, *shape: int, layout: Layout = Layout.NCHW) -> DeviceRun:
    image = TensorSpec(name="image", shape=shape, layout=layout)
    return msgspec.structs.replace(run, artifact=msgspec.structs.replace(run.artifact, inputs=(image,)))


def pair() -> tuple[DeviceRun, DeviceRun]:
    return device_run(normal_rounds(10.0, seed=1)), device_run(normal_rounds(10.0, seed=2))


@pytest.mark.parametrize(
    "shape", [(4, 3, 224, 224), (1, 3, 256, 256), (1, 1, 224, 224)], ids=["batch", "size", "channels"]
)
@pytest.mark.parametrize("limits", [FIVE_PERCENT, ComparisonLimits()], ids=["gate", "no limit"])
def test_unlike_inputs_are_never_judged_unless_it_is_allowed(shape: tuple[int, ...], limits: ComparisonLimits) -> None:
    first, second = with_shape(pair()[0], 1, 3, 224, 224), with_shape(pair()[1], *shape)
    result = compare_runs(first, second, limits)
    assert (result.outcome, result.passed, result.ratio) == (Outcome.UNDECIDED, False, None)
    assert [each.topic for each in result.refused] == ["input"]
    assert result.reasons == (f"unlike input: 1x3x224x224 and {'x'.join(map(str, shape))}",)
    allowed = compare_runs(first, second, limits, allow={"input"})
    assert (allowed.outcome, allowed.passed, allowed.refused) == (Outcome.SAME, True, ())
    assert result.reasons[0] in allowed.warnings


def test_one_image_in_two_layouts_is_one_question() -> None:
    first = with_shape(pair()[0], 1, 3, 224, 200)
    second = with_shape(pair()[1], 1, 224, 200, 3, layout=Layout.NHWC)
    result = compare_runs(first, second, FIVE_PERCENT)
    assert result.passed
    assert [each.words for each in result.differences] == ["input layout"]


def test_another_device_or_way_of_running_is_judged_but_never_passes_a_limit_by_itself() -> None:
    first, second = pair()
    second = msgspec.structs.replace(second, workload=msgspec.structs.replace(second.workload, threads=4))
    second = msgspec.structs.replace(
        second,
        rounds=tuple(
            msgspec.structs.replace(each, before=msgspec.structs.replace(each.before, model="Phone 2"))
            for each in second.rounds
        ),
    )
    told = compare_runs(first, second)
    assert told.passed and told.outcome is Outcome.SAME
    refused = compare_runs(first, second, FIVE_PERCENT)
    assert not refused.passed
    assert sorted(each.topic or "" for each in refused.refused) == ["device", "threads"]
    assert not compare_runs(first, second, FIVE_PERCENT, allow={"threads"}).passed
    assert compare_runs(first, second, FIVE_PERCENT, allow={"threads", "device"}).passed


def test_a_record_of_version_1_is_compared_and_what_it_does_not_tell_is_named() -> None:
    new = with_shape(msgspec.structs.replace(pair()[0], conditions=Conditions()), 1, 3, 224, 224)
    raw = json.loads(pair()[1].to_json())
    workload = raw.pop("workload")
    del raw["conditions"], raw["energy"], raw["energy_failure"]
    old = {**raw, "schema_version": 1, "threads": workload.pop("threads"), "settings": {**workload, "gap_ms": 0.0}}
    result = compare_runs(DeviceRun.from_json(json.dumps(old)), new, FIVE_PERCENT)
    assert (result.outcome, result.passed) == (Outcome.SAME, True)
    (silent,) = (line for line in result.warnings if line.startswith("the first record does not tell"))
    assert "input" in silent and "fixed performance mode" in silent
    assert "neither record tells its network, which would have to be alike" in result.warnings


def test_precisions_are_compared_and_told() -> None:
    plain, dynamic, _ = three_precisions()
    result = compare_runs(plain, dynamic, FIVE_PERCENT)
    assert (result.outcome, result.passed, result.refused) == (Outcome.FASTER, True, ())
    assert "unlike precision: fp32 and int8" in result.warnings
