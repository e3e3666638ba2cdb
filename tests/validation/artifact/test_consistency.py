"""Each way in which manifest, golden set and file can contradict each other is told in words, and agreement in none."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from edgevit.spec import ModelSpec, Task, TensorSpec, Weights
from export.artifact import AuditResult, FileFacts, GoldenReference, Manifest, Operator
from export.formats.table import restated
from export.recipe import Format, Recipe
from validation.artifact.consistency import content_problems, tensor_problems

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
METADATA = restated(MANIFEST)
FACTS = FileFacts(
    format=Format.ONNX, inputs=(IMAGE,), outputs=(LOGITS,), operators=(CONV,), requires="", metadata=METADATA
)


def test_what_agrees_has_no_problems() -> None:
    assert content_problems(FACTS, MANIFEST) == []
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
        (replace(FACTS, metadata=METADATA | {"recipe": "{"}), "'recipe' cannot be read"),
        (
            replace(FACTS, metadata=METADATA | {"recipe": replace(RECIPE, opset=18).to_json()}),
            "recipe.opset is 17 in the manifest, but 18 in the file",
        ),
    ],
)
def test_a_file_that_is_not_what_its_manifest_says(facts: FileFacts, words: str) -> None:
    assert any(words in problem for problem in content_problems(facts, MANIFEST))


def test_a_record_in_another_order_says_the_same() -> None:
    """As another writer of JSON may lay it out: as long, with the keys the other way round."""
    fields = json.loads(METADATA["recipe"])
    text = json.dumps(dict(reversed(fields.items())), separators=(",", ":"), ensure_ascii=False)
    own = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    assert len(own) <= len(METADATA["recipe"]), "the record is written no closer than this"
    padded = text + " " * (len(METADATA["recipe"]) - len(text))
    assert content_problems(replace(FACTS, metadata=METADATA | {"recipe": padded}), MANIFEST) == []
    longer = replace(FACTS, metadata=METADATA | {"recipe": padded + " "})
    assert any("recipe" in problem for problem in content_problems(longer, MANIFEST))
