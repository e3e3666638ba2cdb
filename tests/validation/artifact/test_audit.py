"""The audit's verdict from operator rows."""

from __future__ import annotations

import pytest

from export.artifact import FileFacts, Operator
from export.int8.record import LayerKind, LayerRecord, QuantizationRecord, Scheme
from export.recipe import Format, Precision, Recipe
from validation.artifact.audit import audit, precision_of

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


def holding(**weights: int) -> FileFacts:
    return FileFacts(
        format=Format.ONNX, inputs=(), outputs=(), operators=(CONV,), requires="", metadata={}, weights=weights
    )


def record(*layers: tuple[Scheme, int]) -> QuantizationRecord:
    rows = tuple(
        LayerRecord(name=f"l{k}", module=f"m{k}", kind=LayerKind.LINEAR, weights=weights, scheme=scheme)
        for k, (scheme, weights) in enumerate(layers)
    )
    return QuantizationRecord(layers=rows, measured_on="the golden inputs")


INT8, FP16 = Recipe(format=Format.ONNX, precision=Precision.INT8), Recipe(format=Format.ONNX, precision=Precision.FP16)
LAYERS = record((Scheme.STATIC, 600), (Scheme.DYNAMIC, 300), (Scheme.WEIGHTS, 100), (Scheme.FLOAT, 500))


@pytest.mark.parametrize(
    ("facts", "recipe", "layers", "words"),
    [
        (holding(int8=1000, float32=520), INT8, LAYERS, None),
        (holding(int8=980, float32=520), INT8, LAYERS, None),
        (holding(int8=979, float32=520), INT8, LAYERS, "1,000 weights were to be int8, but the file has 979"),
        (holding(float32=1500), INT8, LAYERS, "1,000 weights were to be int8, but the file has 0"),
        (holding(uint8=1000), INT8, LAYERS, "but the file has 0"),
        (holding(), INT8, LAYERS, "but the file has 0"),
        (holding(int8=1000), INT8, record(), "0 weights were to be int8"),
        (holding(int8=1000), INT8, record((Scheme.FLOAT, 1000)), "0 weights were to be int8"),
        (holding(int8=501, float32=500), INT8, None, None),
        (holding(int8=500, float32=500), INT8, None, "int8 was asked for, but 500 of 1,000 weights are int8"),
        (holding(float16=900, float32=20), FP16, None, None),
        (holding(float32=900), FP16, None, "fp16 was asked for, but 0 of 900 weights are float16"),
        (holding(int8=900), FP16, None, "0 of 900 weights are float16"),
        (holding(float32=900), Recipe(format=Format.ONNX), None, None),
    ],
)
def test_weights_are_stored_in_the_precision_that_was_asked_for(
    facts: FileFacts, recipe: Recipe, layers: QuantizationRecord | None, words: str | None
) -> None:
    result = audit(facts, recipe, layers)
    assert result.passed == (words is None)
    assert words is None or words in result.violations[0]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"int8": 51, "float32": 49}, Precision.INT8),
        ({"int8": 50, "float32": 50}, Precision.FP32),
        ({"float16": 99, "float32": 1}, Precision.FP16),
        ({"float32": 9}, Precision.FP32),
        ({"int64": 90, "int8": 10}, Precision.FP32),
        ({}, Precision.FP32),
    ],
)
def test_a_file_from_elsewhere_is_what_most_of_its_weights_are(weights: dict[str, int], expected: Precision) -> None:
    assert precision_of(holding(**weights)) is expected
