"""Histories of operators out of the schemas that the releases print."""

from __future__ import annotations

import pytest

from benchmarks.promises.lite_schemas import Argument, history, schemas_from

OLD_GELU, GELU = "aten::gelu(Tensor self) -> (Tensor)", 'aten::gelu(Tensor self, *, str approximate="none") -> Tensor'
MEAN = "aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> (Tensor)"
OLD_MEAN = "aten::mean.dim(Tensor self, int[1] dim, bool keepdim=False, *, int? dtype=None) -> (Tensor)"
CHOLESKY = "aten::linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor i)"
OLD_CHOLESKY = "aten::linalg_cholesky_ex(Tensor self, *, bool check_errors=False) -> (Tensor L, Tensor info)"
PRINT = "prim::Print(...) -> ()"


def of(*lines: str | None) -> str:
    """The history of one operator in releases called a, b, c..."""
    tables = [next(iter(schemas_from([line]).values())) if line else None for line in lines]
    return history(list(zip("abcdef", tables, strict=False)))


def test_arguments_are_told_by_type_and_name() -> None:
    found = schemas_from([MEAN, "aten::add_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)", "no schema"])
    assert [*found] == ["aten::mean.dim", "aten::add_.Tensor"]
    assert found["aten::mean.dim"][1:3] == (Argument("int[]", "dim"), Argument("bool", "keepdim"))
    assert found["aten::add_.Tensor"][0] == Argument("Tensor", "self")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((GELU, GELU), ""),
        ((OLD_GELU, OLD_GELU, GELU), "a:1 c:2"),
        ((None, OLD_GELU, GELU), "a:- b:1 c:2"),
        ((GELU, GELU, None), "a:2 c:-"),
        ((OLD_MEAN, MEAN), ""),  # a wider type, or another name of one, takes what the old one took
        ((OLD_CHOLESKY, OLD_CHOLESKY, CHOLESKY), "a:- c:3"),  # "upper" would be taken for "check_errors"
    ],
)
def test_only_what_changes_for_a_caller_is_a_step(lines: tuple[str | None, ...], expected: str) -> None:
    assert of(*lines) == expected


def test_any_number_of_arguments_is_one() -> None:
    assert of(PRINT, PRINT) == ""
