"""ONNX files in which a name or a value stands twice are refused, whichever of them a runtime would take."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgevit.errors import ArtifactError
from export.formats.onnx_file.read import read


def sound(ir_version: int = 8) -> ModelProto:
    """``y = relu(x + w)``."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy")
    nodes = [helper.make_node("Add", ["x", "w"], ["s"]), helper.make_node("LeakyRelu", ["s"], ["y"], alpha=0.5)]
    weight = numpy_helper.from_array(np.ones(3, np.float32), "w")
    graph = helper.make_graph(nodes, "g", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=ir_version)


def info(name: str, *shape: int | str, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def sparse(name: str) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.full(3, 7, np.float32), name)
    indices = numpy_helper.from_array(np.arange(3), "")
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[3])


EVIL = numpy_helper.from_array(np.full(3, 7, np.float32), "w")
Edit = Callable[[ModelProto], object]
TWICE: dict[str, Edit] = {
    "initializer": lambda m: m.graph.initializer.append(EVIL),
    "sparse": lambda m: m.graph.sparse_initializer.append(sparse("w")),
    "input": lambda m: m.graph.input.append(info("x", "n", 3)),
    "initializer as input": lambda m: m.graph.input.append(info("w", 3)),
    "output of a node": lambda m: m.graph.node.append(helper.make_node("Relu", ["x"], ["s"])),
    "output of a node as input": lambda m: m.graph.node.append(helper.make_node("Relu", ["s"], ["x"])),
    "output of a node as weight": lambda m: m.graph.node.append(helper.make_node("Relu", ["s"], ["w"])),
    "shape of the input": lambda m: m.graph.value_info.append(info("x", 1, 4)),
    "type of the output": lambda m: m.graph.value_info.append(info("y", "n", 3, dtype=TensorProto.INT64)),
    "shape of a weight": lambda m: m.graph.value_info.append(info("w", 4)),
    "value_info": lambda m: m.graph.value_info.extend([info("s", 1, 3), info("s", 1, 3)]),
    "raw and float": lambda m: m.graph.initializer[0].float_data.extend([7.0] * 3),
    "raw and int": lambda m: m.graph.initializer[0].int64_data.append(7),
    "raw and text": lambda m: m.graph.initializer[0].string_data.append(b"7"),
    "segment": lambda m: m.graph.initializer[0].segment.CopyFrom(TensorProto.Segment(begin=0, end=1)),
    "attribute": lambda m: m.graph.node[1].attribute.append(helper.make_attribute("alpha", 7.0)),
    "value of an attribute": lambda m: m.graph.node[1].attribute[0].ints.append(7),
}


@pytest.mark.parametrize("edit", TWICE.values(), ids=TWICE)
def test_what_stands_twice_is_refused(edit: Edit, tmp_path: Path) -> None:
    model, path = sound(), tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    assert read(path).operator_count == 2
    edit(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match=r"more than once|two types or shapes|its value 2 times|only a segment"):
        read(path)


def test_in_a_branch_too(tmp_path: Path) -> None:
    model, inner = sound(), sound()
    inner.graph.initializer.append(EVIL)
    node = helper.make_node("If", ["c"], ["z"], then_branch=inner.graph, else_branch=sound().graph)
    model.graph.node.append(node)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="stands more than once: 'w'"):
        read(tmp_path / "m.onnx")


def test_what_is_told_again_and_agrees_is_taken(tmp_path: Path) -> None:
    """Shapes that say less; and weights as inputs in IR 3, which has them nowhere else."""
    model = sound(ir_version=3)
    model.graph.input.append(info("w", 3))
    model.graph.value_info.extend([info("x", 1, 3), info("y", "m", "k"), info("s", 1, 3)])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert [tensor.name for tensor in read(tmp_path / "m.onnx").inputs] == ["x"]


@pytest.mark.parametrize("part", [b"\x0a\x00", b"\x0a\x02\x2a\x00"])
def test_millions_of_empty_parts_are_counted_before_they_are_built(part: bytes, tmp_path: Path) -> None:
    def varint(value: int) -> bytes:
        return (bytes([value & 0x7F | 0x80]) + varint(value >> 7)) if value > 0x7F else bytes([value])

    graph = part * 4_000_000
    (tmp_path / "m.onnx").write_bytes(b"\x3a" + varint(len(graph)) + graph)
    started = time.process_time()
    with pytest.raises(ArtifactError, match="more than 500000 parts"):
        read(tmp_path / "m.onnx")
    assert time.process_time() - started < 1.5  # 0.2 s measured
