"""One row a precision, and what replaces its numbers."""

import pytest

from edgevit.errors import UsageError
from export.recipe import Precision
from validation.artifact.limits import ALLOWED, Limits


def test_every_precision_has_a_row_and_strict_is_the_tighter() -> None:
    assert set(ALLOWED) == set(Precision)
    assert all(0 < row.strict < row.default for row in ALLOWED.values())


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
