"""The audit's verdict from operator rows."""

from __future__ import annotations

import pytest

from export.artifact import FileFacts, Operator
from export.recipe import Format, Recipe
from validation.artifact.audit import audit

CONV = Operator(name="Conv", count=3, version=11)


def facts(*operators: Operator, format: Format = Format.ONNX, **metadata: str) -> FileFacts:
    return FileFacts(format=format, inputs=(), outputs=(), operators=operators, requires="", metadata=metadata)


def test_standard_operators_within_the_request_pass() -> None:
    assert audit(facts(CONV, opset="17"), Recipe(format=Format.ONNX, opset=17)).passed
    assert audit(facts(CONV, opset="17"), Recipe(format=Format.ONNX)).violations == ()


def test_a_violation_names_operator_reason_and_module() -> None:
    flex = Operator(
        name="FlexErf", count=2, standard=False, why_not="needs the Flex delegate", modules=("blocks.0.act", "head.act")
    )
    result = audit(facts(CONV, flex, format=Format.TFLITE), Recipe(format=Format.TFLITE))
    assert not result.passed
    assert result.violations == ("FlexErf (2 times): needs the Flex delegate, from blocks.0.act, head.act",)


@pytest.mark.parametrize(
    ("found", "recipe", "words"),
    [
        (
            facts(Operator(name="Gelu", count=1, version=20)),
            Recipe(format=Format.ONNX, opset=17),
            "Gelu: needs opset 20",
        ),
        (
            facts(CONV, opset="18"),
            Recipe(format=Format.ONNX, opset=17),
            "the file has opset 18, the recipe asks for 17",
        ),
        (
            facts(Operator(name="aten::add", count=1), format=Format.PTL, bytecode="8"),
            Recipe(format=Format.PTL, ptl_bytecode=7),
            "the file has bytecode 8, the recipe asks for 7",
        ),
        (facts(), Recipe(format=Format.ONNX), "no operators"),
        (facts(CONV), Recipe(format=Format.PTL), "the file is onnx, the recipe asks for ptl"),
        (facts(Operator(name="X", count=1, standard=False)), Recipe(format=Format.ONNX), "X (once): not in the stock"),
    ],
)
def test_other_violations(found: FileFacts, recipe: Recipe, words: str) -> None:
    result = audit(found, recipe)
    assert not result.passed
    assert len(result.violations) == 1
    assert words in result.violations[0]


def test_versions_of_other_formats_are_not_opsets() -> None:
    row = Operator(name="CONV_2D", count=1, version=30)
    assert audit(facts(row, format=Format.TFLITE), Recipe(format=Format.TFLITE, opset=None)).passed


def test_the_asked_opset_itself_is_no_violation_and_each_violation_is_told() -> None:
    rows = [Operator(name=f"Op{version}", count=1, version=version) for version in (16, 17, 18)]
    rows += [Operator(name="Foreign", count=1, version=99, standard=False), Operator(name="Bare", count=1)]
    result = audit(facts(*rows, opset="17"), Recipe(format=Format.ONNX, opset=17))
    assert result.violations == (
        "Foreign (once): not in the stock runtime",
        "Op18: needs opset 18, the recipe asks for 17",
    )
