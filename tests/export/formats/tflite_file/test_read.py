"""TFLite files of a small network and of EdgeViT-XXS, read back from their bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder
from mobile_artifacts import edgevit, small, small_program

from edgevit.errors import ArtifactError
from edgevit.spec import Layout, Task
from export.formats.tflite_file.contents import TfliteFile, TfliteGraph, TfliteTensor, parse
from export.formats.tflite_file.read import read, tensor_modules
from export.recipe import Format


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


def test_modules_of_tensor_names() -> None:
    assert tensor_modules("stem/2;;stem/1;;stem/0;2") == ("stem.2", "stem.1", "stem.0")
    assert tensor_modules("stem.2;;stem.1;2") == ("stem.2", "stem.1")  # as files of earlier versions have them
    assert tensor_modules("arith.constant1") == ()
    assert tensor_modules("(top level);3") == ()


@pytest.mark.parametrize("keep", [0, 10, 100, 2000])
def test_a_truncated_file_is_an_error(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(small(Format.TFLITE).path.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match=r"cut\.tflite"):
        read(path)


def test_another_format_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "photo.tflite"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    with pytest.raises(ArtifactError, match="TFL3"):
        read(path)


def test_reading_needs_neither_torch_nor_litert() -> None:
    heavy = "{'torch', 'tensorflow', 'litert_torch', 'ai_edge_litert', 'flatbuffers'}"
    script = (
        "import sys; from pathlib import Path; from export.formats.tflite_file.read import read;"
        f"read(Path(sys.argv[1])); sys.exit(' '.join(sorted({heavy} & set(sys.modules))) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(small(Format.TFLITE).path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_weights_are_counted_by_type_and_once(tmp_path: Path) -> None:
    """Two tensors on one buffer, a single number, an activation, and a stranger's type."""
    tensors = (
        TfliteTensor("weights", (3, 4), "int8", True, 1),
        TfliteTensor("the same", (4, 3), "int8", True, 1),
        TfliteTensor("bias", (3,), "int32", True, 2),
        TfliteTensor("epsilon", (1, 1), "float32", True, 3),
        TfliteTensor("image", (5,), "float32", False, 0),
        TfliteTensor("others", (2, 2), "type 17", True, 4),
    )
    graph = TfliteGraph("main", tensors, (), (4,), (4,))
    (tmp_path / "file.tflite").touch()
    assert read(tmp_path / "file.tflite", TfliteFile((graph,), (), {}, "")).weights == {
        "int32": 3,
        "int8": 12,
        "type 17": 4,
    }


def test_all_numbers_of_a_network_are_weights() -> None:
    held = dict(small_program().module.named_parameters()) | dict(small_program().module.named_buffers())
    products = sum(tensor.numel() for tensor in held.values() if tensor.dim() > 1)
    found = read(small(Format.TFLITE).path).weights
    assert products <= found["float32"] <= sum(tensor.numel() for tensor in held.values())
