"""TFLite files of a small network and of EdgeViT-XXS, read back from their bytes."""

from __future__ import annotations

import dataclasses
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder
from mobile_artifacts import LABELS, edgevit, small, small_program

from edgevit.errors import ArtifactError, ExportError, UsageError
from edgevit.spec import Layout, ModelSpec, Task
from export.formats.flatbuffer import FlatbufferError, root
from export.formats.tflite_file.contents import parse, parse_bytes
from export.formats.tflite_file.metadata import packed_labels
from export.formats.tflite_file.versions import newest, operator_table, since, why_not_standard
from export.formats.tflite_file.write import read, tensor_modules, write
from export.quiet import quiet
from export.recipe import Format, Recipe


def test_small_network_keeps_names_shapes_and_layout() -> None:
    facts = read(small(Format.TFLITE).path)
    assert [(tensor.name, tensor.shape, tensor.dtype) for tensor in facts.inputs] == [
        ("image", (1, 3, 32, 24), "float32")
    ]
    assert facts.inputs[0].layout is Layout.NCHW
    assert [(tensor.name, tensor.shape) for tensor in facts.outputs] == [("logits", (1, 10))]
    assert [signature.key for signature in parse(small(Format.TFLITE).path).signatures] == ["serving_default"]


def test_histogram_is_that_of_the_file_with_versions_and_modules() -> None:
    facts = read(small(Format.TFLITE).path)
    rows = {operator.name: operator for operator in facts.operators}
    assert rows["CONV_2D"].count == rows["DEPTHWISE_CONV_2D"].count == rows["GELU"].count == 1
    assert rows["DEPTHWISE_CONV_2D"].modules == ("mix",)
    assert "stem.0" in rows["CONV_2D"].modules
    assert rows["FULLY_CONNECTED"].modules == ("head",)
    assert rows["GELU"].since == "2.9.0"
    assert facts.requires == "TFLite >= 2.9.0"
    assert all(operator.standard and operator.why_not is None for operator in facts.operators)


def test_the_converter_computed_the_same_lowest_runtime() -> None:
    for built in (small(Format.TFLITE), edgevit(Format.TFLITE, Task.CLASSIFY)):
        facts = read(built.path)
        assert facts.requires == f"TFLite >= {facts.metadata['min_runtime_version']}"


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


def test_standard_metadata_states_normalisation_and_labels() -> None:
    built = small(Format.TFLITE)
    model = root(parse(built.path).metadata["TFLITE_METADATA"], b"M001")
    subgraph = model.tables(3)[0]
    image, scores = subgraph.tables(2)[0], subgraph.tables(3)[0]
    assert (image.text(0), scores.text(0)) == ("image", "logits")
    unit = image.tables(4)[0]
    options = unit.table(1)
    assert unit.scalar(0, "B") == 1  # NormalizationOptions
    assert options is not None
    mean, std = (np.frombuffer(options.data, "<f4", 3, _start(options, slot)) for slot in (0, 1))
    assert mean == pytest.approx([123.675, 116.28, 103.53])
    assert std == pytest.approx([58.395, 57.12, 57.375])
    file = scores.tables(6)[0]
    assert (file.text(0), file.scalar(2, "b")) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS
    assert packed_labels(built.path) == LABELS


def _start(table: object, slot: int) -> int:
    place = table.place(slot)  # type: ignore[attr-defined]
    return int(place + int.from_bytes(table.data[place : place + 4], "little") + 4)  # type: ignore[attr-defined]


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    built = small(Format.TFLITE)
    with quiet():
        write(small_program(), built.recipe, tmp_path / "again.tflite")
    assert (tmp_path / "again.tflite").read_bytes() == built.path.read_bytes()


def test_a_free_batch_is_refused(tmp_path: Path) -> None:
    recipe = Recipe(format=Format.TFLITE, dynamic_batch=True)
    with pytest.raises(UsageError, match="batch"):
        write(small_program(), recipe, tmp_path / "no.tflite")
    assert not list(tmp_path.iterdir())


def test_a_program_that_cannot_be_converted_names_itself(tmp_path: Path) -> None:
    program = small_program()
    broken = dataclasses.replace(program, example=(program.example[0][:, :2],))
    with pytest.raises(ExportError, match="small"), quiet():
        write(broken, Recipe(format=Format.TFLITE), tmp_path / "no.tflite")


@pytest.mark.parametrize("code", ["FlexErf", "MyOwnGelu"])
def test_an_operator_that_is_no_builtin_is_reported_with_its_module(tmp_path: Path, code: str) -> None:
    facts = read(_with_custom(small(Format.TFLITE).path, "DEPTHWISE_CONV_2D", code, tmp_path))
    strangers = [operator for operator in facts.operators if not operator.standard]
    assert [(operator.name, operator.count, operator.modules) for operator in strangers] == [(code, 1, ("mix",))]
    assert strangers[0].since is None
    assert ("Flex delegate" if code.startswith("Flex") else "custom") in (strangers[0].why_not or "")
    assert facts.requires.endswith(f"with {code}")


def _with_custom(path: Path, builtin: str, code: str, directory: Path) -> Path:
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    wanted = getattr(schema.BuiltinOperator, builtin)
    operator = next(entry for entry in model.operatorCodes if entry.builtinCode == wanted)
    operator.builtinCode = operator.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    operator.customCode = code
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    edited = directory / "custom.tflite"
    edited.write_bytes(bytes(builder.Output()))
    return edited


def test_the_operator_table_agrees_with_the_schema() -> None:
    codes = {name: code for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    assert {name: row.code for name, row in operator_table().operators.items()} == codes


def test_operator_versions() -> None:
    assert since("FULLY_CONNECTED", 9) == "2.3.0"
    assert since("BROADCAST_TO", 1) is None
    assert newest(["2.9.0", "2.14.4", "1.15.0"]) == "2.14.4"
    assert "version 99" in (why_not_standard("CONV_2D", 99, custom=False) or "")
    assert "no stock runtime" in (why_not_standard("STABLEHLO_SORT", 1, custom=False) or "")
    assert why_not_standard("CONV_2D", 1, custom=False) is None


def test_modules_of_tensor_names() -> None:
    assert tensor_modules("stem.2;;stem.1;;stem.0;2") == ("stem.2", "stem.1", "stem.0")
    assert tensor_modules("arith.constant1") == ()
    assert tensor_modules("(top level);3") == ()


@pytest.mark.parametrize("keep", [0, 10, 100, 2000])
def test_a_truncated_file_is_an_error(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(small(Format.TFLITE).path.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match=r"cut\.tflite"):
        read(path)


def test_flipped_bits_never_escape_the_reader() -> None:
    data = small(Format.TFLITE).path.read_bytes()
    generator, refused = random.Random(1), 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(4):
            damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            parse_bytes(bytes(damaged))
        except FlatbufferError:
            refused += 1
    assert refused > 10


def test_another_format_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "photo.tflite"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    with pytest.raises(ArtifactError, match="TFL3"):
        read(path)


def test_reading_needs_neither_torch_nor_litert() -> None:
    heavy = "{'torch', 'tensorflow', 'litert_torch', 'ai_edge_litert', 'flatbuffers'}"
    script = (
        "import sys; from pathlib import Path; from export.formats.tflite_file.write import read;"
        f"read(Path(sys.argv[1])); sys.exit(' '.join(sorted({heavy} & set(sys.modules))) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(small(Format.TFLITE).path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_edgevit_has_only_builtins_and_no_transposed_convolution() -> None:
    facts = read(edgevit(Format.TFLITE, Task.CLASSIFY).path)
    names = {operator.name for operator in facts.operators}
    assert all(operator.standard for operator in facts.operators)
    assert "TRANSPOSE_CONV" not in names
    assert facts.operator_count <= 400
    assert any(module.startswith("blocks3.") for operator in facts.operators for module in operator.modules)


def test_edgevit_features_have_the_names_of_the_stages() -> None:
    facts = read(edgevit(Format.TFLITE, Task.FEATURES, Layout.NHWC).path)
    assert facts.inputs[0].shape == (1, 64, 64, 3)
    assert [(tensor.name, tensor.shape) for tensor in facts.outputs] == [
        ("stage1", (1, 36, 16, 16)),
        ("stage2", (1, 72, 8, 8)),
        ("stage3", (1, 144, 4, 4)),
        ("stage4", (1, 288, 2, 2)),
    ]
