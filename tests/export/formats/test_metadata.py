"""What artifacts say about themselves, written and read back."""

from __future__ import annotations

import pytest
from mobile_artifacts import LABELS, small_program

from edgevit.errors import ArtifactError
from edgevit.spec import ModelSpec, Preprocessing
from export.formats.metadata import INPUTS, KEYS, OUTPUTS, artifact_metadata, decode, tensors_from, unambiguous
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
    assert set(artifact_metadata(program.spec, Recipe(format=Format.PTE), program.inputs, program.outputs)) == set(KEYS)
