"""A recipe names its file: whatever differs from the default stands in the name, so that no two share one."""

from __future__ import annotations

import itertools

import pytest

from edgevit.spec import Layout
from export.recipe import Calibration, Format, Optimize, Precision, Recipe


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (Recipe(format=Format.PTL), "net-224x224.ptl"),
        (Recipe(format=Format.ONNX, opset=17), "net-224x224.onnx"),
        (Recipe(format=Format.ONNX, opset=18), "net-224x224-opset18.onnx"),
        (Recipe(format=Format.PTL, ptl_bytecode=7), "net-224x224-bytecode7.ptl"),
        (Recipe(format=Format.TFLITE, input_layout=Layout.NHWC), "net-224x224-nhwc.tflite"),
        (Recipe(format=Format.PTE, optimize=Optimize.NONE), "net-224x224-optimize-none.pte"),
        (
            Recipe(format=Format.ONNX, optimize=Optimize.BASIC, input_layout=Layout.NHWC, opset=11, dynamic_batch=True),
            "net-224x224-optimize-basic-nhwc-opset11-dynamic-batch.onnx",
        ),
    ],
)
def test_names_of_files(recipe: Recipe, name: str) -> None:
    assert recipe.file_name("net-224x224") == name


def test_every_other_recipe_has_another_name() -> None:
    options = {
        "format": Format, "optimize": Optimize, "input_layout": Layout, "opset": (None, 13),
        "dynamic_batch": (False, True), "ptl_bytecode": (None, 5), "ptl_prepacked": (False, True),
        "precision": Precision, "calibration": (None, Calibration(count=16, sha256="ab" * 32)),
        "keep_float": ((), ("head",)), "reach_sqnr_db": (None, 30.0), "reach_agreement": (None, 0.99),
    }  # fmt: skip
    recipes = [Recipe(**dict(zip(options, values, strict=True))) for values in itertools.product(*options.values())]
    assert len({recipe.file_name("net") for recipe in recipes}) == len(recipes)
    varied = set(options)
    assert set(Recipe.__struct_fields__) == varied | {"schema_version"}, (
        "name the new field in file_name, and vary it here"
    )


@pytest.mark.parametrize(
    ("precision", "calibration", "words", "part"),
    [
        (Precision.FP32, None, "fp32", ""),
        (Precision.FP16, None, "fp16", "fp16"),
        (Precision.INT8, None, "int8 dynamic", "int8"),
        (Precision.INT8, Calibration(count=100, sha256="1a2b3c4d" * 8), "int8 static", "int8-static-100-1a2b3c4d"),
    ],
)
def test_a_precision_in_words_and_in_names(
    precision: Precision, calibration: Calibration | None, words: str, part: str
) -> None:
    recipe = Recipe(format=Format.ONNX, precision=precision, calibration=calibration)
    assert (recipe.precision_words, recipe.precision_part) == (words, part)
    assert recipe.file_name("net") == "-".join(filter(None, ["net", part])) + ".onnx"
