"""Which release of PyTorch Mobile runs a file; what is expected here was seen in the releases themselves."""

from __future__ import annotations

import pytest

from export.formats.ptl_file.releases import RELEASES, histories, lowest, runs, since
from export.formats.ptl_file.versions import arity

GELU = "aten::gelu"


@pytest.mark.parametrize(
    ("bytecode", "release"), [(3, "1.8"), (4, "1.8"), (5, "1.9"), (6, "1.10"), (7, "1.10"), (8, "1.11"), (99, "2.1")]
)
def test_the_bytecode_decides_where_nothing_else_does(bytecode: int, release: str) -> None:
    assert lowest(bytecode, 3, [("aten::relu", 1)]) == release


@pytest.mark.parametrize(
    ("version", "release"), [(3, "1.8"), (5, "1.8"), (6, "1.9"), (7, "1.11"), (9, "1.11"), (10, "1.12")]
)
def test_the_version_of_the_archive_counts(version: int, release: str) -> None:
    assert lowest(4, version, []) == release


@pytest.mark.parametrize(
    ("bytecode", "given", "release"),
    [
        (4, None, "1.12"),  # the operand for "approximate" is there, whatever the file says
        (5, None, "1.12"),
        (7, 1, "1.10"),
        (7, 2, "1.12"),
        (8, 1, "1.11"),
    ],
)
def test_operands_that_a_release_does_not_take_count(bytecode: int, given: int | None, release: str) -> None:
    assert lowest(bytecode, 3, [(GELU, given)]) == release


def test_operators_that_came_later_count() -> None:
    assert lowest(8, 3, [("aten::gelu_", 1), ("aten::relu", 1)]) == "1.12"
    assert lowest(4, 3, [("aten::pad", None)]) == "1.12"
    assert lowest(8, 3, [("aten::scaled_dot_product_attention", 3)]) == "2.1"
    assert (since("aten::gelu_"), since(GELU), since("acme::fast")) == ("1.12", None, None)


def test_an_operand_that_would_be_taken_for_another_is_none() -> None:
    # linalg_cholesky_ex(self, check_errors) became (self, upper, check_errors) with 1.10.
    assert not runs("1.9", "aten::linalg_cholesky_ex", 5)
    assert runs("1.10", "aten::linalg_cholesky_ex", 7, 2)


def test_an_operator_that_is_gone_again_counts_from_the_last_that_lacks_it() -> None:
    # linalg_svd had three arguments in 1.8, two from 1.9 to 1.12, and has three again.
    assert runs("1.8", "aten::linalg_svd", 6, 3)
    assert lowest(6, 3, [("aten::linalg_svd", 3)]) == "1.13"


def test_the_table_is_of_allowed_operators_and_in_the_order_of_releases() -> None:
    assert set(histories()) <= set(arity())
    for steps in histories().values():
        assert len(steps) > 1
        places = [[*RELEASES, "written"].index(release) for release in steps]
        assert places == sorted(places)
        assert places[0] == 0
