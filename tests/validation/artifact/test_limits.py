"""One row a precision, and what replaces its numbers."""

import dataclasses

import msgspec
import numpy as np
import pytest
from fake_sessions import FunctionSession, golden_set

from edgevit.errors import UsageError
from export.recipe import Calibration, Format, Precision, Recipe
from validation.artifact.limits import ALLOWED, LEAST_SQNR_DB, Limits
from validation.artifact.parity import ParityReport, compare


def test_every_precision_has_a_row_and_strict_is_the_tighter() -> None:
    assert 0 < ALLOWED.strict < ALLOWED.default
    assert {precision for precision, _ in LEAST_SQNR_DB} == set(Precision) - {Precision.FP32}
    assert all(0 < row.default < row.strict for row in LEAST_SQNR_DB.values())
    assert LEAST_SQNR_DB[Precision.INT8, True].default <= LEAST_SQNR_DB[Precision.INT8, False].default


STATIC = Recipe(format=Format.TFLITE, precision=Precision.INT8, calibration=Calibration(count=16, sha256="0" * 64))


@pytest.mark.parametrize(
    ("recipe", "strict", "least_db"),
    [
        (Recipe(format=Format.TFLITE), False, None),
        (Recipe(format=Format.TFLITE, precision=Precision.FP16), False, 50.0),
        (Recipe(format=Format.TFLITE, precision=Precision.FP16), True, 55.0),
        (Recipe(format=Format.TFLITE, precision=Precision.INT8), False, 25.0),
        (Recipe(format=Format.TFLITE, precision=Precision.INT8), True, 30.0),
        (STATIC, False, 15.0),
        (STATIC, True, 25.0),
    ],
)
def test_a_recipe_decides_by_what_its_artifact_is_judged(recipe: Recipe, strict: bool, least_db: float | None) -> None:
    limits = Limits(strict=strict).of(recipe)
    assert limits.least_sqnr_db == least_db
    assert (limits.precision, limits.strict) == (recipe.precision, strict)
    assert limits.least_agreement is None
    assert limits.on_photos().least_agreement == (None if least_db is None else 0.97)


@pytest.mark.parametrize("own", [Limits(atol=0.1), Limits(multiple=9.0)])
def test_a_limit_of_the_users_own_replaces_the_floor(own: Limits) -> None:
    limits = own.of(STATIC)
    assert limits.least_sqnr_db is None and limits.on_photos() == limits


@pytest.mark.parametrize(
    ("limits", "multiple"),
    [
        (Limits(), 8.0),
        (Limits(strict=True), 4.0),
        (Limits(multiple=20.0), 20.0),
        (Limits(multiple=8.0, strict=True), 8.0),
        (Limits(precision=Precision.FP32, strict=True), 4.0),
    ],
)
def test_the_yardsticks_that_are_allowed(limits: Limits, multiple: float) -> None:
    assert limits.largest_multiple == multiple


def test_limits_of_an_earlier_version_are_read_as_float32s() -> None:
    old = '{"multiple": null, "atol": null, "strict": true}'
    assert Limits.from_json(old) == Limits(strict=True, precision=Precision.FP32)


def test_a_limit_that_every_error_keeps_is_refused() -> None:
    with pytest.raises(UsageError, match="absolute error of inf lets everything pass"):
        Limits(atol=float("inf"))
    with pytest.raises(UsageError, match="multiple of inf"):
        Limits(multiple=float("inf"))


def answering(answer: np.ndarray) -> FunctionSession:
    """A session that gives row i of ``answer`` for the input value i."""
    return FunctionSession({"x": (1, 1)}, ("y",), lambda feed: {"y": answer[feed["x"][:, 0].astype(int)]})


INT8, COARSE = Limits(precision=Precision.INT8), Limits(precision=Precision.INT8, static=True)


def noisy(reference: np.ndarray, sqnr_db: float, seed: int = 5) -> np.ndarray:
    """``reference`` with noise of that SQNR over all elements, exactly."""
    noise = np.random.default_rng(seed).normal(size=reference.shape)
    wanted = np.sqrt((reference**2).sum()) * 10 ** (-sqnr_db / 20)
    return reference + noise * wanted / np.sqrt((noise**2).sum())


def rounded_report(
    answer: np.ndarray, reference: np.ndarray, limits: Limits, in_torch: np.ndarray | None = None
) -> ParityReport:
    golden = golden_set({"x": np.arange(len(reference), dtype=np.float32)[:, None]}, {"y": reference}, 1e-6)
    golden = dataclasses.replace(golden, rounded={} if in_torch is None else {"y": in_torch})
    return compare(answering(answer), golden, limits)


@pytest.mark.parametrize(
    ("limits", "floor"),
    [
        (INT8, 25.0),
        (COARSE, 15.0),
        (Limits(precision=Precision.FP16), 50.0),
        (Limits(precision=Precision.INT8, strict=True), 30.0),
        (Limits(precision=Precision.INT8, static=True, strict=True), 25.0),
    ],
)
def test_rounding_has_a_floor(limits: Limits, floor: float) -> None:
    planes = np.random.default_rng(1).normal(size=(40, 3, 3))  # no classes, which have rules of their own
    assert rounded_report(noisy(planes, floor + 0.01), planes, limits).passed
    report = rounded_report(noisy(planes, floor - 0.01), planes, limits)
    assert not report.passed
    assert f"expected {floor:g} dB or more" in report.reasons[0]


def test_a_fault_of_the_conversion_is_told_from_noise() -> None:
    planes = np.random.default_rng(1).normal(size=(40, 3, 3))
    in_torch = noisy(planes, 33.0, seed=6)
    assert rounded_report(noisy(planes, 30.1), planes, COARSE, in_torch).passed
    report = rounded_report(noisy(planes, 29.9), planes, COARSE, in_torch)
    assert "a fault of the conversion" in report.reasons[0] and "torch reaches 33.0 dB" in report.reasons[0]
    far = rounded_report(noisy(planes, -2.0), planes, COARSE, in_torch)
    assert "SQNR -2.0 dB" in far.reasons[0] and "a fault of the conversion" in far.reasons[0]


def with_a_large_one(reference: np.ndarray) -> np.ndarray:
    """The last input's answer a hundred times the others'."""
    scaled = reference.copy()
    scaled[-1] *= 100
    return scaled


def test_an_input_of_another_scale_hides_no_fault_of_all_others() -> None:
    planes = np.random.default_rng(1).normal(size=(40, 3, 3))
    reference = with_a_large_one(planes)
    in_torch, off = noisy(planes, 38.0, seed=6), noisy(planes, 28.0)
    in_torch[-1] = off[-1] = reference[-1] * 0.99  # cut off at the end of a range, by both alike
    report = rounded_report(off, reference, COARSE, in_torch)
    assert report.outputs[0].sqnr_db == pytest.approx(40.0, abs=1) == report.outputs[0].rounded_sqnr_db
    assert not report.passed and "on half of the inputs, but torch reaches" in report.reasons[0]
    assert rounded_report(in_torch, reference, COARSE, in_torch).passed


def test_an_input_that_fixed_ranges_cut_off_counts_in_the_floor() -> None:
    planes = np.random.default_rng(1).normal(size=(40, 3, 3))
    reference, answer = with_a_large_one(planes), noisy(planes, 30.0)
    for limits in (COARSE, INT8):
        report = rounded_report(answer, reference, limits, answer)
        assert not report.passed and "expected" in report.reasons[0], "torch alike: too coarse, not a fault"


def test_bad_answers_of_torch_excuse_nothing() -> None:
    """A golden set is a file: whatever a stranger wrote into it, the floor holds."""
    planes = np.random.default_rng(1).normal(size=(40, 3, 3))
    for in_torch in (np.zeros_like(planes), -planes, noisy(planes, -40.0)):
        report = rounded_report(noisy(planes, 14.0), planes, COARSE, in_torch)
        assert not report.passed and "expected 15 dB or more" in report.reasons[0]


def test_what_float32_may_be_off_is_no_fault_however_exact_torch_is() -> None:
    """A network whose weights are all halves loses nothing to fp16: torch and the runtime differ by summation alone."""
    planes = np.random.default_rng(1).normal(size=(40, 3, 3))
    limits = Limits(precision=Precision.FP16)
    off = planes + 7e-6 * np.sign(planes)  # 7 yardsticks
    assert rounded_report(off, planes, limits, in_torch=planes).passed
    assert not rounded_report(planes + 1e-4 * np.sign(planes), planes, limits, in_torch=planes).passed


@pytest.mark.parametrize("limits", [INT8, COARSE, Limits(precision=Precision.FP16)])
def test_an_artifact_that_ignores_its_input_fails_whatever_its_sqnr(limits: Limits) -> None:
    """Outputs that hardly move are mostly constant, and the constant part counts as signal."""
    constant = 400 * np.random.default_rng(2).normal(size=(1, 3, 3))
    planes = constant + np.random.default_rng(1).normal(size=(40, 3, 3))
    always = np.broadcast_to(planes.mean(0), planes.shape)
    report = rounded_report(always, planes, limits)
    assert report.outputs[0].sqnr_db > 50, "beyond every floor"
    assert not report.passed and "the same answer to every input reaches" in report.reasons[0]
    assert report.outputs[0].constant_sqnr_db == pytest.approx(report.outputs[0].sqnr_db)
    level = report.outputs[0].sqnr_db
    assert not rounded_report(noisy(planes, level + 2.9), planes, limits).passed
    assert rounded_report(noisy(planes, level + 3.1), planes, limits).passed
    assert rounded_report(always, planes, limits, in_torch=always).reasons, "torch's own answers excuse nothing"


def test_an_output_that_does_not_move_at_all_is_judged_by_its_floor_alone() -> None:
    planes = np.broadcast_to(np.random.default_rng(2).normal(size=(1, 3, 3)), (40, 3, 3)).copy()
    report = rounded_report(noisy(planes, 30.0), planes, COARSE)
    assert report.passed and report.outputs[0].constant_sqnr_db is None


def test_photos_may_all_be_alike() -> None:
    constant = 400 * np.random.default_rng(2).normal(size=(1, 10))
    scores = constant + np.random.default_rng(1).normal(size=(40, 10))
    always = np.broadcast_to(scores.mean(0), scores.shape)
    assert rounded_report(always, scores, INT8.on_photos()).passed
    assert not rounded_report(always, scores, INT8).passed


def test_too_few_equal_top_classes_fail_on_photos_and_one_may_always_differ() -> None:
    scores = np.tile(np.array([[10.0, 9.99, 0.0]]), (100, 1)) * np.linspace(1, 2, 100)[:, None]

    def flipped(count: int) -> np.ndarray:
        answer = scores.copy()
        answer[:count, 1] += 0.05  # within the margin's error: excused input by input
        return answer

    limits = COARSE.on_photos()
    assert rounded_report(flipped(6), scores, limits).passed
    report = rounded_report(flipped(7), scores, limits)
    assert report.reasons == ("output 'y': the top class differs on 7 of 100 inputs, expected the same on 97% or more",)
    assert rounded_report(flipped(7), scores, COARSE).passed, "golden inputs are no photos"
    few = rounded_report(flipped(1)[:5], scores[:5], limits)
    assert few.passed and few.outputs[0].top1_agreement == pytest.approx(0.8)


def test_a_decided_top_class_must_be_the_same_in_every_precision() -> None:
    scores = np.random.default_rng(3).normal(size=(40, 10))
    scores[:, 0] += 30
    assert rounded_report(scores, scores, COARSE).passed
    wrong = scores.copy()
    wrong[9, 0], wrong[9, 1] = scores[9, 0] - 16, scores[9, 0] - 15.9
    report = rounded_report(wrong, scores, COARSE)
    assert any("top class differs on input-9" in reason for reason in report.reasons)


def test_an_absolute_error_that_was_asked_for_replaces_the_floor() -> None:
    planes = np.random.default_rng(1).normal(size=(40, 3, 3))
    coarse = noisy(planes, 5.0)
    error = float(np.abs(coarse - planes).max())
    assert rounded_report(coarse, planes, Limits(precision=Precision.INT8, atol=error * 1.01)).passed
    assert not rounded_report(coarse, planes, Limits(precision=Precision.INT8, atol=error * 0.99)).passed


def test_random_weights_are_held_to_torch_and_only_warned_of_by_the_floor() -> None:
    planes = np.random.default_rng(1).normal(size=(40, 3, 3))
    untrained = msgspec.structs.replace(COARSE, untrained=True)
    loud = noisy(planes, 9.0, seed=6)
    report = rounded_report(noisy(planes, 9.0), planes, untrained, loud)
    assert report.passed and "below 15; torch reaches 9.0 dB" in report.warnings[0]
    assert not rounded_report(noisy(planes, 5.9), planes, untrained, loud).passed, "3.1 dB less than torch"
    assert not rounded_report(noisy(planes, 9.0), planes, untrained).passed, "nothing says how loud it must be"
    strict = msgspec.structs.replace(untrained, strict=True)
    assert not rounded_report(noisy(planes, 9.0), planes, strict, loud).passed
    assert not rounded_report(noisy(planes, 2.0), planes, untrained, noisy(planes, 2.0)).passed, "as a constant answer"


def test_on_photos_the_share_of_equal_classes_counts_and_no_single_margin() -> None:
    """A flip needs errors of half of the margin in two classes: sound int8 flips some whose margin is larger."""
    rows = np.tile([1.0, 0.0, -3.0, -3.0], (60, 1)) * np.linspace(1, 2, 60)[:, None]
    flipped = rows.copy()
    flipped[7, :2] = [0.55, 0.6]  # errors 0.57 and 0.6, margin 1.12
    on_photos = INT8.on_photos()
    assert "top class differs" in rounded_report(flipped, rows, msgspec.structs.replace(INT8, static=True)).reasons[0]
    assert rounded_report(flipped, rows, msgspec.structs.replace(on_photos, static=True)).passed
    flipped[8:12, :2] = [0.55, 0.6]
    report = rounded_report(flipped, rows, msgspec.structs.replace(on_photos, static=True))
    assert "the top class differs on 5 of 60 inputs" in report.reasons[0]
