"""TorchScript lite: the file computes the same, at every bytecode, layout and batch."""

from pathlib import Path

import pytest
import torch
import torch.jit.mobile
from small_models import conv_net, two_inputs

from edgevit.build import build_model
from edgevit.spec import Layout
from export.dynamic_batch import with_dynamic_batch
from export.formats.ptl_file.read import read
from export.formats.ptl_file.releases import BY_BYTECODE
from export.formats.ptl_file.versions import BYTECODES
from export.formats.ptl_file.write import write
from export.pipeline import optimize
from export.program import Program, capture, with_input_layout
from export.recipe import Format, Optimize, Recipe

RECIPE = Recipe(format=Format.PTL)


def run(path: Path, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    result = torch.jit.mobile._load_for_lite_interpreter(str(path))(*inputs)
    return result if isinstance(result, tuple) else (result,)


def expected(program: Program) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        result = program.module(*program.example)
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize(("bytecode", "runtime"), [(None, "1.11"), (7, "1.10"), (6, "1.10"), (5, "1.9"), (4, "1.8")])
def test_every_bytecode_runs_and_is_stated(tmp_path: Path, bytecode: int | None, runtime: str) -> None:
    program = capture(*two_inputs(batch=2))
    path = tmp_path / "model.ptl"
    write(program, Recipe(format=Format.PTL, ptl_bytecode=bytecode), path)
    for seen, reference in zip(run(path, *program.example), expected(program), strict=True):
        torch.testing.assert_close(seen, reference)
    facts = read(path)
    assert facts.requires == f"PyTorch Mobile >= {runtime} (bytecode {bytecode or 8})"
    assert (facts.inputs, facts.outputs) == (program.spec.inputs, program.spec.outputs)


def test_nhwc_and_a_free_batch_reach_the_file(tmp_path: Path) -> None:
    model, spec = conv_net()
    program = with_dynamic_batch(with_input_layout(capture(model, spec), Layout.NHWC))
    path = tmp_path / "model.ptl"
    write(program, RECIPE, path)
    assert [tensor.shape for tensor in read(path).inputs] == [(-1, 32, 32, 3)]
    images = torch.randn(3, 32, 32, 3)
    torch.testing.assert_close(run(path, images)[0], model(images.permute(0, 3, 1, 2)))


@pytest.mark.parametrize("how", Optimize)
def test_an_edgevit_asks_for_no_later_runtime_than_its_bytecode(tmp_path: Path, how: Optimize) -> None:
    """Every operator is there in the first release of the bytecode, and takes the operands that it is given."""
    program = capture(*build_model("xxs", input_size=(64, 64)))
    path = tmp_path / "model.ptl"
    sizes = {}
    for bytecode in (*BYTECODES, None):
        recipe = Recipe(format=Format.PTL, ptl_bytecode=bytecode, optimize=how)
        write(optimize(program, recipe), recipe, path)
        first = "1.12" if bytecode is None else BY_BYTECODE[bytecode]  # in 1.11 gelu is not yet that of bytecode 8
        assert read(path).requires == f"PyTorch Mobile >= {first} (bytecode {bytecode or 8})"
        sizes[bytecode] = path.stat().st_size
    assert max(sizes.values()) < 1.01 * min(sizes.values())
