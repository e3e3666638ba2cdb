"""One row a precision, and what replaces its numbers."""

import pytest

from edgevit.errors import UsageError
from export.recipe import Calibration, Format, Precision, Recipe
from validation.artifact.limits import ALLOWED, LEAST_SQNR_DB, Limits


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
