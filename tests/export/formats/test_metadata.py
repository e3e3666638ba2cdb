"""What artifacts say about themselves, written and read back."""

from __future__ import annotations

import pytest
from mobile_artifacts import LABELS, small_program
from msgspec.structs import replace

from edgevit.errors import ArtifactError
from edgevit.spec import ModelSpec, Preprocessing
from export.formats.metadata import INPUTS, KEYS, OUTPUTS, artifact_metadata, decode, tensors_from, unambiguous
from export.int8.record import LayerKind, LayerRecord, QuantizationRecord, Scheme
from export.recipe import Format, Recipe


def test_texts_hold_all_that_an_app_and_a_reader_need() -> None:
    program, recipe = small_program(), Recipe(format=Format.PTE)
    texts = artifact_metadata(program.spec, recipe, program.inputs, program.outputs)
    assert ModelSpec.from_json(texts["spec"]) == program.spec
    assert Recipe.from_json(texts["recipe"]) == recipe
    assert Preprocessing.from_json(texts["preprocessing"]) == program.spec.preprocessing
    assert tuple(texts["labels"].splitlines()) == LABELS
    assert tensors_from(texts, INPUTS, "here") == program.inputs
    assert tensors_from(texts, OUTPUTS, "here") == program.outputs


def test_a_foreign_file_has_no_tensors_and_broken_ones_are_told() -> None:
    assert tensors_from({}, INPUTS, "a.pte") == ()
    with pytest.raises(ArtifactError, match=r"a\.pte: metadata 'inputs' is not a list of tensors: .*name"):
        tensors_from({INPUTS: "[{}]"}, INPUTS, "a.pte")
    with pytest.raises(ArtifactError, match=r"not a list of tensors: 'x' has an axis of a length that no"):
        tensors_from({INPUTS: f'[{{"name": "x", "shape": [1, {2**64}]}}]'}, INPUTS, "a.pte")
    with pytest.raises(ArtifactError, match=r"a\.ptl: metadata 'modules' is broken: "):
        decode("[1", dict[str, list[str]], "a.ptl: metadata 'modules' is broken")


def test_an_entry_that_stands_twice_is_refused() -> None:
    assert unambiguous([("a", "1"), ("b", "2")], "f") == {"a": "1", "b": "2"}
    with pytest.raises(ArtifactError, match="f: its metadata holds 'a' twice"):
        unambiguous([("a", "1"), ("a", "1")], "f")


def test_every_key_is_known() -> None:
    program = small_program()
    layers = QuantizationRecord(layers=(), measured_on="nothing")
    texts = artifact_metadata(program.spec, Recipe(format=Format.PTE), program.inputs, program.outputs, layers)
    assert set(texts) == set(KEYS)


def test_what_became_of_layers_stands_in_the_file_as_a_digest() -> None:
    program = small_program()
    row = LayerRecord(name="head", module="head", kind=LayerKind.LINEAR, weights=7, scheme=Scheme.STATIC, sqnr_db=36.5)
    digests = set()
    for record in (row, replace(row, scheme=Scheme.FLOAT), replace(row, sqnr_db=36.6), replace(row, why="asked")):
        layers = QuantizationRecord(layers=(record,), measured_on="the golden inputs")
        read = QuantizationRecord.from_json(layers.to_json())
        texts = [
            artifact_metadata(program.spec, Recipe(format=Format.PTE), program.inputs, program.outputs, each)["layers"]
            for each in (layers, read)
        ]
        assert texts[0] == texts[1]
        digests.add(texts[0])
    assert len(digests) == 4
