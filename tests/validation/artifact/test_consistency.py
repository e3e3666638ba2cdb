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


def yardstick_problems(yardstick: float, largest: float, said: float | None = None) -> list[str]:
    """What is said of that yardstick, of outputs up to that size, where the manifest states it too (or another)."""
    answers = np.array([[0.0] * 6 + [largest], [0.0] * 7])
    reference = GoldenReference(
        file="g.npz", sha256="", inputs=2, yardstick={"logits": yardstick if said is None else said}
    )
    changed = dataclasses.replace(golden(), outputs={"logits": answers}, yardstick={"logits": yardstick})
    return golden_problems(changed, replace(MANIFEST, golden=reference))


@pytest.mark.parametrize(
    ("yardstick", "largest", "agrees"),
    [
        (0.04, 4.0, True),  # one percent of the largest value is the limit
        (0.0400001, 4.0, False),
        (0.04, -4.0, True),
        (0.0, 4.0, True),
        (-1e-9, 4.0, False),
        (float("inf"), 4.0, False),
        (1e-33, 0.0, True),
        (1e-31, 0.0, False),
    ],
)
def test_how_large_a_yardstick_may_be(yardstick: float, largest: float, agrees: bool) -> None:
    problems = yardstick_problems(yardstick, largest)
    assert [("cannot be the error of float32" in problem) for problem in problems] == ([] if agrees else [True])


def test_yardsticks_are_compared_to_nine_digits() -> None:
    assert yardstick_problems(1e-6, 1.0, said=1e-6 * (1 + 1e-10)) == []
    assert len(yardstick_problems(1e-6, 1.0, said=1e-6 * (1 + 1e-8))) == 1


def test_every_output_is_looked_at() -> None:
    other = TensorSpec(name="other", shape=(1, 7))
    both = replace(SPEC, outputs=(LOGITS, other))
    answers = golden().outputs["logits"]
    for values, words in ((np.full((2, 7), np.inf), "not finite"), (answers * 1e-9, "cannot be the error")):
        for first in (True, False):
            pair = {"logits": values, "other": answers} if first else {"logits": answers, "other": values}
            wide = dataclasses.replace(golden(), outputs=pair, yardstick={"logits": 1e-6, "other": 1e-6})
            said = replace(MANIFEST.golden, yardstick={"logits": 1e-6, "other": 1e-6})
            (problem,) = golden_problems(wide, replace(MANIFEST, spec=both, golden=said))
            assert words in problem and ("'logits'" in problem) == first
