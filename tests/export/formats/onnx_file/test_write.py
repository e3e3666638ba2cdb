"""ONNX: every opset computes the same; operators, modules and requirements are read from the file alone."""

import builtins
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from small_models import conv_net, edgevit_xxs, spec_of, two_inputs

from edgevit.errors import ArtifactError, ExportError, MissingDependencyError, UsageError
from edgevit.spec import Layout, ModelSpec, Task, TensorSpec
from export.dynamic_batch import with_dynamic_batch
from export.formats.onnx_file.write import read, write
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


@pytest.mark.parametrize("opset", [10, 21])
def test_an_opset_out_of_range_lists_the_range(tmp_path: Path, opset: int) -> None:
    with pytest.raises(UsageError, match=f"opset {opset} for onnx: choose from 11 to 20"):
        write(capture(*conv_net()), Recipe(format=Format.ONNX, opset=opset), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


class NoOnnxForm(torch.nn.Module):
    """Computes something that ONNX cannot say."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.i0e(x)


def test_an_operator_without_onnx_form_is_named(tmp_path: Path) -> None:
    tensor = (TensorSpec(name="x", shape=(1, 4)),)
    program = capture(NoOnnxForm(), spec_of("i0e", tensor, (TensorSpec(name="y", shape=(1, 4)),)))
    with pytest.raises(ExportError, match="special_i0e"):
        write(program, RECIPE, tmp_path / "model.onnx")


def test_foreign_operators_are_violations_with_their_module(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    nodes = [
        helper.make_node("FastGelu", ["x"], ["h"], name="/blocks/0/mlp/act/gelu/FastGelu", domain="com.microsoft"),
        helper.make_node("Gelu", ["h"], ["y"], name="Gelu_1"),
    ]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=imports, ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    foreign, too_new = sorted(
        read(tmp_path / "model.onnx").operators, key=lambda row: row.name != "com.microsoft::FastGelu"
    )
    assert (foreign.standard, foreign.modules) == (False, ("blocks.0.mlp.act",))
    assert foreign.why_not and "com.microsoft" in foreign.why_not
    assert (too_new.standard, too_new.why_not) == (False, "not in opset 17")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write(capture(*conv_net()), RECIPE, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ArtifactError, match="cannot read"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(ArtifactError, match="no graph"):
        read(path)


def test_reading_needs_onnx_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_onnx(name: str, *args: object, **kwargs: object) -> object:
        if name == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(MissingDependencyError) as caught:
        read(tmp_path / "model.onnx")
    assert caught.value.hint == "pip install 'onnx>=1.17'"


def test_reading_imports_no_torch(tmp_path: Path) -> None:
    write(capture(*conv_net()), RECIPE, tmp_path / "model.onnx")
    code = (
        "import sys, pathlib; from export.formats.onnx_file.write import read;"
        "from export.formats.ptl_file.write import read as ptl;"
        "read(pathlib.Path(sys.argv[1])); assert 'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.onnx")], check=True, cwd=Path(__file__).parents[4]
    )
