"""A recipe names its file: whatever differs from the default stands in the name, so that no two share one."""

from __future__ import annotations

import itertools

import pytest

from edgevit.spec import Layout
from export.recipe import Format, Optimize, Recipe


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
    }  # fmt: skip
    recipes = [Recipe(**dict(zip(options, values, strict=True))) for values in itertools.product(*options.values())]
    assert len({recipe.file_name("net") for recipe in recipes}) == len(recipes)
    varied = set(options)
    rest = {"schema_version", "precision"}  # precision: in test_table, as long as there is only one
    assert set(Recipe.__struct_fields__) == varied | rest, "name the new field in file_name, and vary it here"
