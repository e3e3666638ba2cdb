"""The facts about an artifact in numbers and in one line each."""

from __future__ import annotations

import pytest

from export.artifact import FileFacts, Operator, left_outside
from export.recipe import Format


def test_operators_of_all_kinds_are_counted() -> None:
    operators = (Operator(name="Conv", count=3), Operator(name="Add", count=2))
    facts = FileFacts(format=Format.ONNX, inputs=(), outputs=(), operators=operators, requires="")
    assert facts.operator_count == 5


@pytest.mark.parametrize(
    ("modules", "line"),
    [
        ((), "MEAN x 2: no kernel"),
        (("head",), "MEAN x 2: no kernel (in head)"),
        (("a", "b", "c"), "MEAN x 2: no kernel (in a, b, c)"),
        (("a", "b", "c", "d", "e"), "MEAN x 2: no kernel (in a, b, c and 2 more)"),
    ],
)
def test_what_stayed_outside_names_a_few_modules(modules: tuple[str, ...], line: str) -> None:
    assert left_outside("MEAN", 2, "no kernel", modules) == line
