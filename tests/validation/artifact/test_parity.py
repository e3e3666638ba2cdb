"""Parity: the arithmetic against straightforward numpy, the verdict against its own words, and every way to fail."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fake_sessions import FunctionSession, golden_set
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgevit.errors import SessionError
from validation.artifact.agreement import MOST_DB, compare_arrays
from validation.artifact.limits import Limits
from validation.artifact.parity import ParityReport, compare

REFERENCE = np.random.default_rng(0).normal(size=(5, 10))
INPUT = np.arange(5, dtype=np.float32)[:, None]


def answering(answer: np.ndarray, batch: int = 1) -> FunctionSession:
    """A session that gives row i of ``answer`` for the input value i."""
    return FunctionSession({"x": (batch, 1)}, ("y",), lambda feed: {"y": answer[feed["x"][:, 0].astype(int)]})


def judged(answer: np.ndarray, limits: Limits | None = None, *, yardstick: float = 1e-6) -> ParityReport:
    golden = golden_set({"x": INPUT}, {"y": REFERENCE}, yardstick)
    return compare(answering(answer.astype(np.float32)), golden, limits)


def with_error(size: float) -> np.ndarray:
    answer = REFERENCE.copy()
    answer[3, 7] += size
    return answer


@given(
    hnp.arrays(np.float64, (1, 6), elements=st.floats(-10, 10)),
    hnp.arrays(np.float64, (1, 6), elements=st.floats(-1, 1)),
)
def test_a_margin_of_twice_the_error_protects_the_top_class(reference: np.ndarray, noise: np.ndarray) -> None:
    row = compare_arrays("y", reference + noise, reference, ["a"], 1.0, 1)[0]
    assert row.margin is not None
    if row.margin > 2 * row.max_abs_error + 1e-9:
        assert row.top1_equal


@settings(max_examples=40)
@given(
    hnp.arrays(np.float64, (5, 10), elements=st.floats(-20e-6, 20e-6)), st.sampled_from([Limits(), Limits(strict=True)])
)
def test_the_verdict_is_what_the_rule_says(noise: np.ndarray, limits: Limits) -> None:
    answer = (REFERENCE + noise).astype(np.float32)
    report = judged(answer, limits)
    error = np.abs(answer - REFERENCE).max()
    assert report.passed == bool(error <= (4e-6 if limits.strict else 8e-6))
    assert report.summary().max_abs_error == pytest.approx(error)


def test_equal_outputs_pass_with_every_number_at_its_best() -> None:
    golden = golden_set({"x": INPUT}, {"y": REFERENCE.astype(np.float32)})
    result = compare(answering(REFERENCE.astype(np.float32)), golden, Limits(strict=True)).summary()
    assert (result.passed, result.max_abs_error, result.sqnr_db) == (True, 0.0, MOST_DB)
    assert (result.top1_agreement, result.top5_agreement, result.inputs_compared) == (1.0, 1.0, 5)
    assert result.cosine == pytest.approx(1.0)


def test_the_worst_input_is_named() -> None:
    report = judged(with_error(1e-3))
    assert not report.passed
    assert report.worst.label == report.outputs[0].worst_input == "input-3"
    assert report.worst.multiple == pytest.approx(1000, rel=1e-3)
    assert "input-3" in report.reasons[0]
    assert "1e+03 x the float32 yardstick" in report.reasons[0]


@pytest.mark.parametrize(
    ("limits", "passed"),
    [
        (Limits(), False),
        (Limits(atol=2e-3), True),
        (Limits(atol=1e-4), False),
        (Limits(multiple=1100.0), True),
        (Limits(atol=2e-3, strict=True), True),
        (Limits(atol=float("nan")), False),
    ],
)
def test_limits(limits: Limits, passed: bool) -> None:
    assert judged(with_error(1e-3), limits).passed is passed


def test_a_flip_within_the_margin_passes_with_a_warning_unless_strict() -> None:
    reference = np.array([[1.0, 1.0 - 4e-6, 0.0]])
    answer = np.array([[1.0, 1.0 + 2e-6, 0.0]], np.float32)
    golden = golden_set({"x": INPUT[:1]}, {"y": reference})
    report = compare(answering(answer), golden)
    assert report.passed
    assert report.outputs[0].top1_agreement == 0.0
    assert any("input-0" in warning for warning in report.warnings)
    strict = compare(answering(answer), golden, Limits(strict=True, multiple=8.0))
    assert not strict.passed
    assert any("top class differs on input-0" in reason for reason in strict.reasons)


def test_a_flip_beyond_the_margin_fails_even_with_a_wide_atol() -> None:
    reference = np.array([[1.0, 0.6, 0.0]])
    golden = golden_set({"x": INPUT[:1]}, {"y": reference})
    report = compare(answering(np.array([[0.7, 0.8, 0.0]])), golden, Limits(atol=0.5))
    assert [reason for reason in report.reasons if "top class differs" in reason]


def test_strict_wants_the_same_five_classes() -> None:
    reference = np.array([[10.0, 9.0, 8.0, 7.0, 1.0, 1.0 - 1e-6, 0.0]])
    swapped = reference[:, [0, 1, 2, 3, 5, 4, 6]].astype(np.float32)
    golden = golden_set({"x": INPUT[:1]}, {"y": reference})
    assert compare(answering(swapped), golden).passed
    report = compare(answering(swapped), golden, Limits(strict=True))
    assert [reason for reason in report.reasons if "top five" in reason]
    assert report.summary().top5_agreement == pytest.approx(0.8)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_non_finite_value_fails_whatever_the_limits(value: float) -> None:
    report = judged(with_error(value), Limits(atol=1e30, multiple=1e30))
    assert not report.passed
    assert report.outputs[0].non_finite == 1
    assert "non-finite" in report.reasons[0]
    numbers = report.summary()
    assert np.isfinite([numbers.max_abs_error, numbers.mean_abs_error, numbers.multiple, numbers.cosine]).all()
    assert ParityReport.from_json(report.to_json()) == report


def test_all_nan_fails_and_stays_storable() -> None:
    report = judged(np.full_like(REFERENCE, np.nan), Limits(atol=1e30))
    assert not report.passed
    assert report.outputs[0].non_finite == REFERENCE.size
    assert json.loads(report.to_json())["outputs"][0]["max_abs_error"] == pytest.approx(np.abs(REFERENCE).max())


@pytest.mark.parametrize("shape", [(5, 9), (5, 10, 1), (5, 1), (5,)])
def test_a_wrong_shape_fails_whatever_the_limits(shape: tuple[int, ...]) -> None:
    report = judged(np.zeros(shape), Limits(atol=1e30))
    assert not report.passed
    assert "must have shape (5, 10)" in report.reasons[0]


@pytest.mark.parametrize("rows", [1, 3])
def test_an_output_without_the_batch_axis_fails(rows: int) -> None:
    session = FunctionSession({"x": (2, 1)}, ("y",), lambda _: {"y": np.zeros((rows, 10), np.float32)})
    assert not compare(session, golden_set({"x": INPUT}, {"y": REFERENCE}), Limits(atol=1e30)).passed


def test_a_missing_output_fails_and_a_surplus_one_warns() -> None:
    golden = golden_set({"x": INPUT}, {"y": REFERENCE, "z": REFERENCE})
    report = compare(answering(REFERENCE.astype(np.float32)), golden)
    assert report.reasons == ("output 'z' is missing (batch 1)",)
    assert report.worst_output.name == "z"
    session = FunctionSession({"x": (1, 1)}, ("y", "w"), answering(REFERENCE)._function)
    alone = golden_set({"x": INPUT}, {"y": REFERENCE})
    assert compare(session, alone).passed
    assert "'w'" in compare(session, alone).warnings[0]
    assert not compare(session, alone, Limits(strict=True)).passed


def test_session_errors_are_never_swallowed() -> None:
    def broken(_: object) -> dict[str, np.ndarray]:
        raise SessionError("the runtime refused")

    with pytest.raises(SessionError, match="refused"):
        compare(FunctionSession({"x": (1, 1)}, ("y",), broken), golden_set({"x": INPUT}, {"y": REFERENCE}))


def test_each_output_has_its_own_yardstick() -> None:
    golden = golden_set({"x": INPUT}, {"y": REFERENCE, "z": REFERENCE}, {"y": 1e-2, "z": 1e-6})
    answer = with_error(1e-3).astype(np.float32)

    def function(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        rows = feed["x"][:, 0].astype(int)
        return {"y": answer[rows], "z": answer[rows]}

    report = compare(FunctionSession({"x": (1, 1)}, ("y", "z"), function), golden)
    assert [reason.split()[1] for reason in report.reasons] == ["'z':"]
    assert report.summary().yardstick == 1e-6


def test_a_yardstick_of_zero_allows_one_rounding_and_no_more() -> None:
    golden = golden_set({"x": INPUT}, {"y": REFERENCE}, 0.0)
    assert compare(answering(REFERENCE.astype(np.float32)), golden).passed
    assert not compare(answering(with_error(1e-4).astype(np.float32)), golden).passed
    zeros = golden_set({"x": INPUT}, {"y": np.zeros((5, 10))}, 0.0)
    assert compare(answering(np.zeros((5, 10), np.float32)), zeros).passed
    report = compare(answering(np.full((5, 10), 1e-3, np.float32)), zeros)
    assert not report.passed
    assert ParityReport.from_json(report.to_json()) == report


def both(answers: dict[str, np.ndarray], golden_outputs: dict[str, np.ndarray], stick: float = 1e-3) -> ParityReport:
    """Two inputs and any outputs."""
    golden = golden_set({"x": INPUT[:2]}, golden_outputs, stick)

    def function(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: array[feed["x"][:, 0].astype(int)] for name, array in answers.items()}

    return compare(FunctionSession({"x": (1, 1)}, tuple(answers), function), golden)


ONES = np.array([[1.0, 0.0], [1.0, 0.0]])


def test_the_limit_itself_passes_and_the_next_number_does_not() -> None:
    stick = 2.0**-10
    golden = golden_set({"x": INPUT[:1]}, {"y": ONES[:1]}, stick)
    at = np.float32(1 + 8 * stick)
    beyond = np.nextafter(at, np.float32(2))
    for limits in (Limits(), Limits(atol=8 * stick), Limits(multiple=8.0)):
        assert compare(answering(np.array([[at, 0]], np.float32)), golden, limits).passed
        report = compare(answering(np.array([[beyond, 0]], np.float32)), golden, limits)
        assert not report.passed
        assert ("allowed 8 x the float32 yardstick" in report.reasons[0]) == (limits.atol is None)


@pytest.mark.parametrize(("answer", "excused"), [([0.0, 0.25], True), ([0.0078125, 0.25], False)])
def test_a_margin_as_large_as_the_error_excuses_a_flip_and_a_larger_one_does_not(
    answer: list[float], excused: bool
) -> None:
    golden = golden_set({"x": INPUT[:1]}, {"y": np.array([[0.5, 0.0]])}, 1.0)
    report = compare(answering(np.array([answer])), golden)
    assert report.rows[0].top1_equal is False
    assert (report.passed, bool(report.warnings)) == (excused, excused)


def test_the_worst_row_and_output_are_those_of_the_verdict() -> None:
    small, large = np.array([[1.001, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.002]])
    report = both({"a": small, "b": large}, {"a": ONES, "b": ONES})
    assert (report.worst_output.name, report.worst.label, report.worst.output) == ("b", "input-1", "b")
    assert [each.worst_input for each in report.outputs] == ["input-0", "input-1"]
    broken = ONES.copy()
    broken[0, 1] = np.inf
    report = both({"a": broken, "b": large}, {"a": ONES, "b": ONES})
    assert (report.worst_output.name, report.worst.label, report.outputs[0].worst_input) == ("a", "input-0", "input-0")
    report = both({"a": broken, "b": large}, {"a": ONES, "b": ONES, "c": ONES})
    assert report.worst_output.name == "c", "what is missing is the worst"


def test_a_summary_holds_the_worst_output_and_the_lowest_agreement_of_all() -> None:
    reference = np.array([[3.0, 1.0], [3.0, 1.0]])
    flipped = np.array([[3.0, 1.0], [1.0, 3.0]])
    planes = np.ones((2, 2, 2))
    summary = both(
        {"a": flipped, "b": reference, "c": planes * 1.5}, {"a": reference, "b": reference, "c": planes}
    ).summary()
    assert (summary.top1_agreement, summary.top5_agreement, summary.max_abs_error) == (0.5, 1.0, 2.0)
    assert summary.mean_abs_error == 1.0, "of four elements two are off by two"
    assert summary.multiple == pytest.approx(2000.0)
    assert summary.sqnr_db == pytest.approx(10 * np.log10(20 / 8))
    assert summary.cosine == pytest.approx(16 / 20)
    alone = both({"c": planes}, {"c": planes}).summary()
    assert (alone.top1_agreement, alone.top5_agreement) == (None, None)


def test_a_reference_that_is_not_finite_passes_nothing() -> None:
    reference = ONES.copy()
    reference[1, 1] = np.nan
    report = both({"a": ONES}, {"a": reference})
    assert (report.passed, report.outputs[0].non_finite, report.outputs[0].worst_input) == (False, 1, "input-1")


def test_every_flip_within_the_margin_is_named_once() -> None:
    reference = np.array([[1.0, 1.0 - 4e-6, 0.0]] * 2)
    answer = np.array([[1.0, 1.0 + 2e-6, 0.0]] * 2, np.float32)
    report = compare(answering(answer, -1), golden_set({"x": INPUT[:2]}, {"y": reference}))
    assert report.batches == (1, 3)
    assert report.warnings == ("top class differs where the reference is undecided: input-0, input-1",)
