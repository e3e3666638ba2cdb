"""Constants are counted by type, wherever they stand; a size that no bytes stand behind is refused."""

import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from edgevit.errors import ArtifactError
from export.formats.onnx_file.read import read

X, Y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")


def weights_of(path: Path, *constants: TensorProto, nodes: tuple[object, ...] = ()) -> dict[str, int]:
    made = [*nodes, helper.make_node("Relu", ["x"], ["y"])]
    graph = helper.make_graph(made, "g", [X], [Y], initializer=constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return read(path).weights


def array(name: str, dtype: str, *shape: int) -> TensorProto:
    return numpy_helper.from_array(np.ones(shape, dtype), name)


def test_elements_are_counted_by_type_without_single_ones(tmp_path: Path) -> None:
    constants = [
        array("a", "int8", 3, 5), array("b", "int8", 4), array("c", "float32", 2, 2), array("d", "float16", 7),
        array("one", "float32", 1), array("scalar", "uint8"), array("none", "int32", 0, 9),
        helper.make_tensor("listed", TensorProto.INT64, [2], [1, 2**40]),
        helper.make_tensor("half", TensorProto.FLOAT16, [6], [1.0] * 6),
        helper.make_tensor("nibbles", TensorProto.INT4, [8], [1] * 8),
        helper.make_tensor("text", TensorProto.STRING, [2], [b"a", b"bc"]),
    ]  # fmt: skip
    found = weights_of(tmp_path / "m.onnx", *constants)
    assert found == {"int8": 19, "float16": 13, "int4": 8, "float32": 4, "int64": 2, "object": 2}
    assert next(iter(found)) == "int8"


def test_constants_inside_of_calls_count_too(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["held"], value=array("v", "int8", 11))
    branch = helper.make_graph([helper.make_node("Constant", [], ["b"], value=array("w", "uint8", 13))], "b", [], [Y])
    choice = helper.make_node("If", ["x"], ["either"], then_branch=branch, else_branch=branch)
    assert weights_of(tmp_path / "m.onnx", nodes=(constant, choice)) == {"uint8": 26, "int8": 11}


@pytest.mark.parametrize("dims", [[3], [2**62], [2**62] * 100, [-1]])
def test_more_elements_than_bytes_are_refused(tmp_path: Path, dims: list[int]) -> None:
    with pytest.raises(ArtifactError, match="'lies' has more elements than its 0 bytes hold"):
        weights_of(tmp_path / "m.onnx", TensorProto(name="lies", dims=dims, data_type=TensorProto.FLOAT))


def test_a_million_sizes_are_refused_at_once(tmp_path: Path) -> None:
    lies = TensorProto(name="lies", dims=[2**62] * 400_000, data_type=TensorProto.INT8, raw_data=b"\1" * 64)
    start_s = time.process_time()
    with pytest.raises(ArtifactError, match="more elements"):
        weights_of(tmp_path / "m.onnx", lies)
    assert time.process_time() - start_s < 20, "their product would take minutes"
