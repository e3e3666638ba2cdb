"""ONNX in half precision: half the bytes, the same answers but for the rounding of weights, at every opset."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from edgevit_tiny import tiny
from onnx import TensorProto, helper, numpy_helper
from small_models import conv_net, spec_of

from edgevit.network.model import EdgeViT
from edgevit.spec import TensorSpec
from export.formats.onnx_file.half import MIN_ELEMENTS, halve
from export.formats.onnx_file.read import read
from export.formats.onnx_file.write import write
from export.pipeline import optimize
from export.program import capture
from export.recipe import Format, Optimize, Precision, Recipe

HALF = Recipe(format=Format.ONNX, precision=Precision.FP16)


def run(path: Path, images: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]


def halved(**constants: np.ndarray) -> dict[str, np.dtype]:
    """The types in which a file stores these constants."""
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    nodes = [helper.make_node("Shape", [name], [f"{name}_shape"]) for name in constants]
    model = helper.make_model(helper.make_graph(nodes, "g", [], [], initializer=stored))
    halve(model)
    widened = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Cast"}
    return {widened.get(each.name, each.name): numpy_helper.to_array(each).dtype for each in model.graph.initializer}


@pytest.mark.parametrize("optimised", list(Optimize))
def test_an_edgevit_takes_half_the_bytes_and_rounds_weights_alone(tmp_path: Path, optimised: Optimize) -> None:
    torch.manual_seed(0)
    image = TensorSpec(name="image", shape=(1, 3, 64, 64))
    program = capture(EdgeViT(tiny()).eval(), spec_of("tiny", (image,), (TensorSpec(name="logits", shape=(1, 1000)),)))
    sizes, answers = {}, {}
    for precision in (Precision.FP32, Precision.FP16):
        recipe, path = (
            Recipe(format=Format.ONNX, precision=precision, optimize=optimised),
            tmp_path / f"{precision}.onnx",
        )
        write(optimize(program, recipe), recipe, path)
        sizes[precision], answers[precision] = read(path).weights, run(path, program.example[0])
    matrices = sizes[Precision.FP16]["float16"]
    assert matrices + sizes[Precision.FP16]["float32"] == sizes[Precision.FP32]["float32"]
    assert matrices > 0.9 * sizes[Precision.FP32]["float32"]
    lost = np.linalg.norm(answers[Precision.FP16] - answers[Precision.FP32]) / np.linalg.norm(answers[Precision.FP32])
    assert 1e-6 < lost < 1e-2, "as much as weights of 11 bits lose"


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
def test_every_opset_runs_it(tmp_path: Path, opset: int) -> None:
    model, spec = conv_net()
    path = tmp_path / "model.onnx"
    write(capture(model, spec), Recipe(format=Format.ONNX, precision=Precision.FP16, opset=opset), path)
    images = torch.randn(1, 3, 32, 32)
    np.testing.assert_allclose(run(path, images), model(images).detach().numpy(), rtol=5e-3, atol=5e-3)
    facts = read(path)
    assert facts.weights["float16"] == 8 * 3 * 3 * 3 + 8 * 8 * 8 * 10
    assert all(operator.standard for operator in facts.operators)


def test_runtimes_widen_the_weights_when_they_load_them(tmp_path: Path) -> None:
    write(capture(*conv_net()), HALF, tmp_path / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), options, providers=["CPUExecutionProvider"])
    assert "Cast" in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert "Cast" not in {node.op_type for node in onnx.load(tmp_path / "loaded.onnx").graph.node}


def test_nodes_keep_the_module_of_their_weights(tmp_path: Path) -> None:
    write(capture(*conv_net()), HALF, tmp_path / "model.onnx")
    casts = next(operator for operator in read(tmp_path / "model.onnx").operators if operator.name == "Cast")
    assert casts.modules == ("head", "stem.0")


def test_what_half_precision_cannot_hold_or_does_not_shrink_stays() -> None:
    row = np.linspace(-1, 1, MIN_ELEMENTS, dtype=np.float32)
    matrix = row.reshape(2, -1)
    found = halved(
        matrix=matrix,
        vector=row,
        small=matrix[:, :8].copy(),
        mask=np.where(matrix > 0, np.float32(-3.4e38), np.float32(0)),
        infinite=np.where(matrix > 0, -np.inf, 0).astype(np.float32),
        tiny=matrix * np.float32(1e-7),
        numbers=np.arange(MIN_ELEMENTS).reshape(2, -1),
    )
    assert [name for name, dtype in found.items() if dtype == np.float16] == ["matrix"]
    assert found["numbers"] == np.int64
    assert TensorProto.FLOAT16 not in {found["mask"], found["tiny"]}


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("first.onnx", "second.onnx"):
        write(capture(*conv_net()), HALF, tmp_path / name)
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()
