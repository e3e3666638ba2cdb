"""Each way in which manifest, golden set and file can contradict each other is told in words, and agreement in none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fake_sessions import golden_set
from msgspec.structs import replace

from edgevit.spec import ModelSpec, Task, TensorSpec, Weights
from export.artifact import AuditResult, FileFacts, GoldenReference, Manifest, Operator
from export.golden import GoldenSet
from export.recipe import Format, Recipe
from validation.artifact.consistency import content_problems, golden_problems, tensor_problems

IMAGE, LOGITS = TensorSpec(name="image", shape=(1, 3, 4, 4)), TensorSpec(name="logits", shape=(1, 7))
SPEC = ModelSpec(
    name="small", variant="small", task=Task.CLASSIFY, inputs=(IMAGE,), outputs=(LOGITS,),
    weights=Weights(source="random", seed=0), num_classes=7,
)  # fmt: skip
RECIPE = Recipe(format=Format.ONNX, opset=17)
CONV = Operator(name="Conv", count=3, version=11)
MANIFEST = Manifest(
    file="small.onnx", sha256="", bytes=1, created_utc="", spec=SPEC, recipe=RECIPE, inputs=(IMAGE,),
    outputs=(LOGITS,), operators=(CONV,), requires="", audit=AuditResult(passed=True), tools={}, command=(),
    golden=GoldenReference(file="g.npz", sha256="", inputs=2, yardstick={"logits": 1e-6}),
)  # fmt: skip
METADATA = {"edgevit.spec": SPEC.to_json(), "edgevit.recipe": RECIPE.to_json()}
FACTS = FileFacts(
    format=Format.ONNX, inputs=(IMAGE,), outputs=(LOGITS,), operators=(CONV,), requires="", metadata=METADATA
)


def golden() -> GoldenSet:
    answers = np.random.default_rng(0).normal(size=(2, 7))
    return golden_set({"image": np.zeros((2, 3, 4, 4), np.float32)}, {"logits": answers}, 1e-6)


def test_what_agrees_has_no_problems() -> None:
    assert content_problems(FACTS, MANIFEST) == []
    assert golden_problems(golden(), MANIFEST) == []
    assert tensor_problems("input", (IMAGE,), (replace(IMAGE, shape=(-1, 3, 4, 4)),)) == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(FACTS, format=Format.PTL), "the manifest says onnx, but the file is ptl"),
        (replace(FACTS, inputs=(replace(IMAGE, name="x"),)), "has the inputs image, but the file has x"),
        (replace(FACTS, outputs=()), "has the outputs logits, but the file has none"),
        (replace(FACTS, outputs=(replace(LOGITS, shape=(1, 8)),)), "'logits' is float32 (1, 7) in the manifest"),
        (replace(FACTS, inputs=(replace(IMAGE, dtype="float16"),)), "but float16 (1, 3, 4, 4) in the file"),
        (replace(FACTS, operators=(replace(CONV, count=2),)), "operator Conv version 11: 3 in the manifest, 2 in"),
        (replace(FACTS, operators=(CONV, Operator(name="Gelu", count=1))), "operator Gelu: 0 in the manifest, 1 in"),
        (replace(FACTS, metadata={}), "does not carry its 'spec'"),
        (replace(FACTS, metadata=METADATA | {"edgevit.recipe": "{"}), "'recipe' cannot be read"),
        (
            replace(FACTS, metadata=METADATA | {"edgevit.recipe": replace(RECIPE, opset=18).to_json()}),
            "recipe.opset is 17 in the manifest, but 18 in the file",
        ),
    ],
)
def test_a_file_that_is_not_what_its_manifest_says(facts: FileFacts, words: str) -> None:
    assert any(words in problem for problem in content_problems(facts, MANIFEST))


def with_outputs(values: np.ndarray) -> GoldenSet:
    return dataclasses.replace(golden(), outputs={"logits": values})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (dataclasses.replace(golden(), inputs={"x": np.zeros((2, 3))}), "inputs image, but the golden set has x"),
        (with_outputs(np.ones((2, 8))), "one 'logits' is (7,) in the model, but (8,) in the golden set"),
        (golden()[:1], "the manifest says 2 golden inputs, but there are 1"),
        (dataclasses.replace(golden(), yardstick={"logits": 2e-6}), "the yardstick of 'logits' is 1e-06 in the"),
        (with_outputs(np.full((2, 7), np.nan)), "holds values that are not finite"),
        (with_outputs(np.full((2, 7), 1e-5)), "cannot be the error of float32 on outputs up to 1e-05"),
    ],
)
def test_a_golden_set_that_is_no_reference(changed: GoldenSet, words: str) -> None:
    assert any(words in problem for problem in golden_problems(changed, MANIFEST))
