"""ONNX files that would read others, or do other than they seem to: refused before anything opens them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from edgevit.errors import ArtifactError
from export.artifact import FileFacts
from export.formats.onnx_file.read import read
from export.recipe import Format, Recipe
from validation.artifact.audit import audit

X, Y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy")
DATA = Path(__file__).parents[3] / "data" / "hostile" / "onnx"


def graph(*nodes: NodeProto, **more: object) -> GraphProto:
    return helper.make_graph(list(nodes) or [helper.make_node("Relu", ["x"], ["y"])], "g", [X], [Y], **more)


def model(body: GraphProto, **more: object) -> ModelProto:
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **more)


def outside() -> TensorProto:
    """A tensor whose data is in another file."""
    tensor = TensorProto(name="w", dims=[2, 3], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../w.bin")
    return tensor


def sparse() -> onnx.SparseTensorProto:
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    return onnx.SparseTensorProto(values=outside(), indices=indices, dims=[2, 3])


def with_attribute(**attribute: object) -> GraphProto:
    return graph(helper.make_node("Constant", [], ["y"], **attribute))


def in_branch() -> GraphProto:
    branch = helper.make_graph([helper.make_node("Constant", [], ["b"], value=outside())], "b", [], [Y])
    return graph(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


def in_function() -> ModelProto:
    node = helper.make_node("Constant", [], ["o"], value=outside())
    function = helper.make_function("mine", "F", [], ["o"], [node], [helper.make_opsetid("", 17)])
    return model(graph(), functions=[function])


def only_location() -> ModelProto:
    """Without the key that names it external; with the pointer that ONNX Runtime understands."""
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.external_data.add(key="location", value="*/_ORT_MEM_ADDR_/*")
    return model(graph(initializer=[tensor]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: model(graph(initializer=[outside()])),
        lambda: model(graph(sparse_initializer=[sparse()])),
        lambda: model(with_attribute(value=outside())),
        lambda: model(with_attribute(sparse_value=sparse())),
        lambda: model(in_branch()),
        in_function,
        only_location,
    ],
)  # fmt: skip
def test_tensors_in_other_files_are_refused_wherever_they_are_named(
    tmp_path: Path, make: Callable[[], ModelProto]
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(make().SerializeToString())
    with pytest.raises(ArtifactError, match="the tensor 'w' lies outside of the file, in ") as refused:
        read(path)
    assert refused.value.hint and "inside" in refused.value.hint


def facts_of(path: Path, made: ModelProto) -> FileFacts:
    path.write_bytes(made.SerializeToString())
    return read(path)


def violations(path: Path, *nodes: NodeProto, **more: object) -> str:
    return "; ".join(audit(facts_of(path, model(graph(*nodes, **more))), Recipe(format=Format.ONNX)).violations)


def test_random_numbers_are_refused_in_every_depth(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    random = helper.make_node("RandomNormalLike", ["x"], ["y"])
    assert "RandomNormalLike (once): it draws random numbers" in violations(path, random)
    for name, attributes in (("If", ("then_branch", "else_branch")), ("Loop", ("body",)), ("Scan", ("body",))):
        body = helper.make_graph([random], "b", [], [Y])
        inner = helper.make_node(name, ["x"], ["y"], **dict.fromkeys(attributes, body))
        assert "RandomNormalLike" in violations(path, inner)
        deeper = helper.make_graph([inner], "c", [], [Y])
        assert "RandomNormalLike" in violations(
            path, helper.make_node("If", ["x"], ["y"], then_branch=deeper, else_branch=deeper)
        )


@pytest.mark.parametrize(("switch", "refused"), [(True, True), (False, False), (None, False), ("x", True)])
def test_dropout_must_be_told_to_be_idle(tmp_path: Path, switch: bool | str | None, refused: bool) -> None:
    ratio = helper.make_tensor("ratio", TensorProto.FLOAT, [], [0.5])
    held = [ratio]
    inputs = ["x", "ratio"]
    if isinstance(switch, bool):
        held.append(helper.make_tensor("on", TensorProto.BOOL, [], [switch]))
        inputs.append("on")
    elif switch is not None:
        inputs.append(switch)
    found = violations(tmp_path / "m.onnx", helper.make_node("Dropout", inputs, ["y"]), initializer=held)
    assert ("told to draw random numbers" in found) == refused


def test_a_function_that_takes_an_operators_name_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("RandomNormal", [], ["o"], shape=[2, 3])
    for domain in ("", "ai.onnx"):
        function = helper.make_function(domain, "Relu", ["i"], ["o"], [node], [helper.make_opsetid("", 17)])
        with pytest.raises(ArtifactError, match="a function of its own of the operator 'Relu'"):
            facts_of(tmp_path / "m.onnx", model(graph(), functions=[function]))
    own = helper.make_function("mine", "F", ["i"], ["o"], [node], [helper.make_opsetid("", 17)])
    found = facts_of(
        tmp_path / "m.onnx", model(graph(helper.make_node("F", ["x"], ["y"], domain="mine")), functions=[own])
    )
    assert {row.name for row in found.operators if not row.standard} == {"mine::F", "RandomNormal"}


def test_settings_for_the_runtime_training_and_two_opsets_are_refused(tmp_path: Path) -> None:
    configured = model(graph())
    configured.metadata_props.add(key="ort_config", value="{}")
    training = model(graph())
    training.training_info.add()
    twice = model(graph())
    twice.opset_import.add(domain="ai.onnx", version=18)
    for made, words in ((configured, "ort_config"), (training, "for training"), (twice, "default domain 2 times")):
        with pytest.raises(ArtifactError, match=words):
            facts_of(tmp_path / "m.onnx", made)


def test_negative_sizes_are_refused_and_odd_names_are_kept_apart(tmp_path: Path) -> None:
    made = model(graph())
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -5
    with pytest.raises(ArtifactError, match="'x' has the shape"):
        facts_of(tmp_path / "m.onnx", made)
    data = model(graph(helper.make_node("Relu", ["xx"], ["yy"]))).SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data.replace(b"xx", b"\xe8x"))
    assert read(tmp_path / "m.onnx").operator_count == 1


@pytest.mark.parametrize("path", sorted(DATA.glob("*.onnx")), ids=lambda path: path.name)
def test_what_once_took_long_is_refused_at_once(path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ArtifactError):
        read(path)
    assert time.monotonic() - started < 2
