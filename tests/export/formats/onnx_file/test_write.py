"""ONNX: every opset computes the same, and tells its metadata and the module of every node."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from small_models import conv_net, edgevit_xxs, spec_of, two_inputs

from edgevit.errors import ExportError
from edgevit.spec import Layout, ModelSpec, Task, TensorSpec
from export.dynamic_batch import with_dynamic_batch
from export.formats.onnx_file.read import read
from export.formats.onnx_file.write import write
from export.program import Program, capture, with_input_layout
from export.recipe import Format, Recipe

RECIPE = Recipe(format=Format.ONNX)


def run(path: Path, *inputs: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)})


def assert_equal(path: Path, program: Program) -> None:
    with torch.no_grad():
        result = program.module(*program.example)
    expected = result if isinstance(result, tuple) else (result,)
    for seen, reference in zip(run(path, *program.example), expected, strict=True):
        np.testing.assert_allclose(seen, reference.numpy(), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("opset", "runtime", "ir"), [(11, "1.0", 6), (13, "1.6", 7), (17, "1.12", 8), (20, "1.17", 9)])
def test_every_opset_runs_and_is_stated(tmp_path: Path, opset: int, runtime: str, ir: int) -> None:
    program = capture(*two_inputs(batch=2))
    path = tmp_path / "model.onnx"
    write(program, Recipe(format=Format.ONNX, opset=opset), path)
    assert_equal(path, program)
    facts = read(path)
    assert facts.requires == f"ONNX Runtime >= {runtime} (opset {opset}, IR {ir})"
    assert (facts.inputs, facts.outputs) == (program.spec.inputs, program.spec.outputs)
    assert all(operator.standard and operator.since for operator in facts.operators)
    assert max(operator.version or 0 for operator in facts.operators) <= opset


@pytest.mark.parametrize("task", list(Task))
def test_edgevit_keeps_the_module_of_every_node(tmp_path: Path, task: Task) -> None:
    model, spec = edgevit_xxs(task, size_px=64)
    path = tmp_path / "model.onnx"
    write(capture(model, spec), RECIPE, path)
    assert_equal(path, capture(model, spec))
    modules = {name for name, _ in model.named_modules()}
    operators = read(path).operators
    assert {module for operator in operators for module in operator.modules} <= modules
    softmax = next(operator for operator in operators if operator.name == "Softmax")
    assert softmax.count == len(softmax.modules) == 7
    products = next(operator for operator in operators if operator.name == "Gemm").modules  # made by the simplifier
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert set(products) == linear
    names = [node.name for node in onnx.load(path).graph.node]
    assert len(set(names)) == len(names)
    assert all(name.startswith("/") for name in names)


def test_equal_programs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("first.onnx", "second.onnx"):
        write(capture(*conv_net()), RECIPE, tmp_path / name)
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()
    write(capture(*conv_net(seed=5)), RECIPE, tmp_path / "second.onnx")
    assert (tmp_path / "first.onnx").read_bytes() != (tmp_path / "second.onnx").read_bytes()


class Sizes(torch.nn.Module):
    """What ONNX's inference of shapes does not follow for a free batch: a resize to sizes, and a scatter."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        places = x.topk(2, -1).indices
        resized = torch.nn.functional.interpolate(x, size=(5, 7), mode="bilinear")
        return resized, torch.zeros_like(x).scatter(-1, places, x[..., :2])


def test_sizes_that_inference_does_not_find_are_written(tmp_path: Path) -> None:
    shape, path = (1, 2, 4, 4), tmp_path / "model.onnx"
    outputs = (TensorSpec(name="resized", shape=(1, 2, 5, 7)), TensorSpec(name="placed", shape=shape))
    program = with_dynamic_batch(capture(Sizes(), spec_of("sizes", (TensorSpec(name="x", shape=shape),), outputs)))
    write(program, RECIPE, path)
    assert read(path).outputs == program.outputs
    assert [output.shape for output in program.outputs] == [(-1, 2, 5, 7), (-1, 2, 4, 4)]
    images = torch.randn(3, 2, 4, 4)
    for seen, expected in zip(run(path, images), Sizes()(images), strict=True):
        np.testing.assert_allclose(seen, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_dynamic_batch_runs_at_other_batches(tmp_path: Path) -> None:
    model, spec = edgevit_xxs(Task.CLASSIFY)
    path = tmp_path / "model.onnx"
    write(with_dynamic_batch(capture(model, spec)), RECIPE, path)
    assert read(path).inputs[0].shape == (-1, 3, 32, 32)
    assert read(path).outputs[0].shape == (-1, 1000)
    for batch in (1, 3):
        images = torch.randn(batch, 3, 32, 32)
        np.testing.assert_allclose(run(path, images)[0], model(images).detach().numpy(), rtol=1e-4, atol=2e-5)


def test_metadata_and_layout_are_in_the_file(tmp_path: Path) -> None:
    model, spec = conv_net()
    path = tmp_path / "model.onnx"
    write(with_input_layout(capture(model, spec), Layout.NHWC), RECIPE, path)
    facts = read(path)
    assert facts.inputs == (TensorSpec(name="image", shape=(1, 32, 32, 3), layout=Layout.NHWC),)
    assert ModelSpec.from_json(facts.metadata["spec"]) == spec
    assert Recipe.from_json(facts.metadata["recipe"]) == RECIPE
    images = torch.randn(1, 32, 32, 3)
    np.testing.assert_allclose(
        run(path, images)[0], model(images.permute(0, 3, 1, 2)).detach().numpy(), rtol=1e-4, atol=2e-5
    )


class NoOnnxForm(torch.nn.Module):
    """Computes something that ONNX cannot say."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.i0e(x)


def test_an_operator_without_onnx_form_is_named(tmp_path: Path) -> None:
    tensor = (TensorSpec(name="x", shape=(1, 4)),)
    program = capture(NoOnnxForm(), spec_of("i0e", tensor, (TensorSpec(name="y", shape=(1, 4)),)))
    with pytest.raises(ExportError, match="special_i0e"):
        write(program, RECIPE, tmp_path / "model.onnx")
