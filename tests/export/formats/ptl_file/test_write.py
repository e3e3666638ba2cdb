"""TorchScript lite: the file computes the same, says what is in it, repeats byte for byte, and is read safely."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
import torch.jit.mobile
from small_models import conv_net, two_inputs

from edgevit.errors import ArtifactError, UsageError
from edgevit.spec import Layout
from export.dynamic_batch import with_dynamic_batch
from export.formats.ptl_file.write import read, write
from export.program import Program, capture, with_input_layout
from export.recipe import Format, Recipe

RECIPE = Recipe(format=Format.PTL)


def run(path: Path, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    result = torch.jit.mobile._load_for_lite_interpreter(str(path))(*inputs)
    return result if isinstance(result, tuple) else (result,)


def expected(program: Program) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        result = program.module(*program.example)
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize(("bytecode", "runtime"), [(None, "1.13"), (7, "1.10"), (6, "1.10"), (5, "1.9"), (4, "1.8")])
def test_every_bytecode_runs_and_is_stated(tmp_path: Path, bytecode: int | None, runtime: str) -> None:
    program = capture(*two_inputs(batch=2))
    path = tmp_path / "model.ptl"
    write(program, Recipe(format=Format.PTL, ptl_bytecode=bytecode), path)
    for seen, reference in zip(run(path, *program.example), expected(program), strict=True):
        torch.testing.assert_close(seen, reference)
    facts = read(path)
    assert facts.requires == f"PyTorch Mobile >= {runtime} (bytecode {bytecode or 8})"
    assert (facts.inputs, facts.outputs) == (program.spec.inputs, program.spec.outputs)


def test_operators_are_counted_and_traced_to_their_modules(tmp_path: Path) -> None:
    write(capture(*conv_net()), RECIPE, tmp_path / "model.ptl")
    operators = {operator.name: operator for operator in read(tmp_path / "model.ptl").operators}
    assert {name: operator.count for name, operator in operators.items()} == {
        "aten::_convolution": 1,
        "aten::relu": 1,
        "aten::max_pool2d": 1,
        "aten::flatten.using_ints": 1,
        "aten::linear": 1,
    }
    assert operators["aten::_convolution"].modules == ("stem.0",)
    assert operators["aten::linear"].modules == ("head",)
    assert all(operator.standard for operator in operators.values())


@pytest.mark.parametrize("bytecode", [None, 7, 4])
def test_equal_programs_give_equal_bytes(tmp_path: Path, bytecode: int | None) -> None:
    recipe = Recipe(format=Format.PTL, ptl_bytecode=bytecode)
    first, second = tmp_path / "first.ptl", tmp_path / "second-with-another-name.ptl"
    write(capture(*conv_net()), recipe, first)
    write(capture(*two_inputs()), recipe, tmp_path / "between.ptl")
    write(capture(*conv_net()), recipe, second)
    assert first.read_bytes() == second.read_bytes()
    write(capture(*conv_net(seed=5)), recipe, second)
    assert first.read_bytes() != second.read_bytes()


def test_nothing_of_this_machine_is_in_the_file(tmp_path: Path) -> None:
    write(capture(*conv_net()), RECIPE, tmp_path / "model.ptl")
    data = (tmp_path / "model.ptl").read_bytes()
    assert os.fsencode(Path(torch.__file__).parent.parent) not in data
    assert b"torch_mangle" not in data


def test_a_backported_file_holds_each_tensor_once(tmp_path: Path) -> None:
    program = capture(*conv_net())
    sizes = {}
    for bytecode in (None, 7):
        write(program, Recipe(format=Format.PTL, ptl_bytecode=bytecode), tmp_path / "model.ptl")
        with zipfile.ZipFile(tmp_path / "model.ptl") as archive:
            sizes[bytecode] = sum(info.file_size for info in archive.infolist() if "/constants/" in info.filename)
            assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    assert sizes[None] == sizes[7]


def test_tensors_are_aligned_for_memory_mapping(tmp_path: Path) -> None:
    path = tmp_path / "model.ptl"
    write(capture(*conv_net()), RECIPE, path)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name, extra = (int.from_bytes(data[info.header_offset + at :][:2], "little") for at in (26, 28))
            assert (info.header_offset + 30 + name + extra) % 64 == 0


def test_nhwc_and_a_free_batch_reach_the_file(tmp_path: Path) -> None:
    model, spec = conv_net()
    program = with_dynamic_batch(with_input_layout(capture(model, spec), Layout.NHWC))
    path = tmp_path / "model.ptl"
    write(program, RECIPE, path)
    assert [tensor.shape for tensor in read(path).inputs] == [(-1, 32, 32, 3)]
    images = torch.randn(3, 32, 32, 3)
    torch.testing.assert_close(run(path, images)[0], model(images.permute(0, 3, 1, 2)))


def test_an_unknown_bytecode_lists_the_choices(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose from 7, 6, 5, 4"):
        write(capture(*conv_net()), Recipe(format=Format.PTL, ptl_bytecode=3), tmp_path / "model.ptl")
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "model.ptl"
    write(capture(*conv_net()), RECIPE, path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtifactError, match="cannot read"):
        read(path)
    flipped = bytearray(data)
    flipped[data.index(b"aten::relu")] ^= 1
    path.write_bytes(bytes(flipped))
    with pytest.raises(ArtifactError, match=r"checksum of its record archive/bytecode\.pkl"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(ArtifactError):
        read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"")
    with pytest.raises(ArtifactError, match=r"has no bytecode\.pkl"):
        read(path)


class _Attack:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch attacked",)


def test_reading_runs_nothing_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = (("instructions", (("OP", 0, 0), ("OP", 0, 0))), ("operators", (("acme::fast", "", 1),)), _Attack())
    with zipfile.ZipFile("evil.ptl", "w") as archive:
        archive.writestr("evil/bytecode.pkl", pickle.dumps((8, ("f", code[:2]), ("g", code[:2], _Attack())), 2))
    facts = read(Path("evil.ptl"))
    assert not Path("attacked").exists()
    (operator,) = facts.operators
    assert (operator.name, operator.count, operator.standard) == ("acme::fast", 4, False)
    assert operator.why_not and "custom operator" in operator.why_not
