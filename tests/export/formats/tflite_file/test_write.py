"""What the writer makes of a small network and of EdgeViT-XXS."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest
from mobile_artifacts import LABELS, edgevit, small, small_program

from edgevit.errors import ExportError
from edgevit.spec import Layout, ModelSpec, Task
from export.formats.tflite_file.contents import parse
from export.formats.tflite_file.read import read
from export.formats.tflite_file.write import write
from export.quiet import quiet
from export.recipe import Format, Recipe


def test_channels_last_input_costs_no_transpose() -> None:
    plain, last = (read(small(Format.TFLITE, layout).path) for layout in (Layout.NCHW, Layout.NHWC))
    assert last.inputs[0].shape == (1, 32, 24, 3)
    assert last.inputs[0].layout is Layout.NHWC
    transposes = [sum(row.count for row in facts.operators if row.name == "TRANSPOSE") for facts in (plain, last)]
    assert transposes[1] == transposes[0] - 1


def test_metadata_is_inside_the_file() -> None:
    built = small(Format.TFLITE)
    metadata = read(built.path).metadata
    assert msgspec.json.decode(metadata["spec"], type=ModelSpec) == built.program.spec
    assert msgspec.json.decode(metadata["recipe"], type=Recipe) == built.recipe
    assert tuple(metadata["labels"].splitlines()) == LABELS


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    built = small(Format.TFLITE)
    with quiet():
        write(small_program(), built.recipe, tmp_path / "again.tflite")
    assert (tmp_path / "again.tflite").read_bytes() == built.path.read_bytes()


def test_a_program_that_cannot_be_converted_names_itself(tmp_path: Path) -> None:
    program = small_program()
    broken = dataclasses.replace(program, example=(program.example[0][:, :2],))
    with pytest.raises(ExportError, match="small"), quiet():
        write(broken, Recipe(format=Format.TFLITE), tmp_path / "no.tflite")


def test_edgevit_has_only_builtins_and_no_transposed_convolution() -> None:
    facts = read(edgevit(Format.TFLITE, Task.CLASSIFY).path)
    names = {operator.name for operator in facts.operators}
    assert all(operator.standard for operator in facts.operators)
    assert "TRANSPOSE_CONV" not in names
    assert facts.operator_count <= 480
    assert any(module.startswith("blocks3.") for operator in facts.operators for module in operator.modules)


def test_edgevit_stays_within_the_ranks_of_older_kernels() -> None:
    """TFLite's kernels up to 2.14 abort the process when they multiply over five axes."""
    for task, layout in ((Task.CLASSIFY, Layout.NCHW), (Task.FEATURES, Layout.NHWC)):
        path = edgevit(Format.TFLITE, task, layout).path
        graph = parse(path).graphs[0]
        assert read(path).cautions == ()
        assert max(len(tensor.shape) for tensor in graph.tensors) <= 4


def test_edgevit_has_no_operator_that_tears_older_delegates_at_every_normalisation() -> None:
    names = {operator.name for operator in read(edgevit(Format.TFLITE, Task.CLASSIFY).path).operators}
    assert "RSQRT" not in names
    assert {"SQRT", "DIV"} <= names


def test_tensors_are_named_so_that_viewers_nest_them_by_module() -> None:
    graph = parse(edgevit(Format.TFLITE, Task.CLASSIFY).path).graphs[0]
    made = [graph.tensors[index].name for operator in graph.operators for index in operator.outputs]
    places = [name.partition(";")[0].split("/") for name in made]
    assert ["blocks3", "0", "SelfAttn", "attn", "qkv"] in places
    nested = [place for place in places if len(place) > 1]
    assert len(nested) >= 0.95 * len(places)  # the stem, the head and the output stand on the top level
    assert not any("." in part for place in nested for part in place)


def test_edgevit_features_have_the_names_of_the_stages() -> None:
    facts = read(edgevit(Format.TFLITE, Task.FEATURES, Layout.NHWC).path)
    assert facts.inputs[0].shape == (1, 64, 64, 3)
    assert [(tensor.name, tensor.shape) for tensor in facts.outputs] == [
        ("stage1", (1, 36, 16, 16)),
        ("stage2", (1, 72, 8, 8)),
        ("stage3", (1, 144, 4, 4)),
        ("stage4", (1, 288, 2, 2)),
    ]


@pytest.mark.parametrize("name", ["a/c", "class", "1x"])
def test_an_input_that_litert_torch_cannot_name_is_refused_in_words(name: str, tmp_path: Path) -> None:
    program = small_program()
    inputs = (msgspec.structs.replace(program.spec.inputs[0], name=name), *program.spec.inputs[1:])
    named = dataclasses.replace(program, spec=msgspec.structs.replace(program.spec, inputs=inputs))
    with pytest.raises(ExportError, match=f"tflite cannot have an input '{name}': litert-torch takes names") as caught:
        write(named, small(Format.TFLITE).recipe, tmp_path / "odd.tflite")
    assert caught.value.hint == "spec_for(model, example, input_names=[...]) gives other ones"
