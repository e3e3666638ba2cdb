"""Prepacked weights in the file: every bytecode computes the same; nothing of ours or of plain weights is left."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from packed_program import run_packed
from pass_rig import captured, randomised
from torch import Tensor, nn

from edgevit.errors import ExportError
from export.formats.ptl_file.pack import packed
from export.formats.ptl_file.prepacked import NAMESPACE, OPERATOR, RUNS
from export.formats.ptl_file.read import read, read_archive
from export.formats.ptl_file.rewrite import Tree, dump
from export.formats.ptl_file.versions import BYTECODES
from export.formats.ptl_file.write import write
from export.pipeline import optimize
from export.recipe import Format, Optimize, Recipe


class Net(nn.Module):
    """Every kind of product, with and without bias and limits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 2))
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.fc, self.head = nn.Linear(16, 6, bias=False), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.hardtanh(self.depthwise(self.stem(x).relu()), -0.3, 0.4)
        return self.head(nn.functional.gelu(self.fc(self.up(x))).mean((1, 2)))


@pytest.mark.parametrize("how", [Optimize.NONE, Optimize.FULL])
@pytest.mark.parametrize("bytecode", [None, *BYTECODES])
def test_the_file_computes_the_same(tmp_path: Path, bytecode: int | None, how: Optimize) -> None:
    double, shape = randomised(Net()), (1, 3, 8, 8)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    expected = double(x.double())
    program = captured(double.float(), shape, torch.float32)
    recipe = Recipe(format=Format.PTL, optimize=how, ptl_bytecode=bytecode, ptl_prepacked=True)
    path = tmp_path / "packed.ptl"
    write(optimize(program, recipe), recipe, path)
    torch.testing.assert_close(run_packed(path, x).double(), expected, rtol=1e-4, atol=1e-5)
    facts, archive = read(path), read_archive(path)
    assert " with XNNPACK " in facts.requires
    assert {name: count for name, count in archive.calls.items() if name in RUNS} == {
        "prepacked::conv2d_clamp_run": 2, "prepacked::conv2d_transpose_clamp_run": 1, "prepacked::linear_clamp_run": 2
    }  # fmt: skip
    places = {operator.name: operator.modules for operator in facts.operators}
    assert places["prepacked::linear_clamp_run"] == ("fc", "head")
    assert all(operator.standard for operator in facts.operators) and OPERATOR not in archive.calls


def test_each_weight_is_there_once_and_the_full_program_is_not(tmp_path: Path) -> None:
    program = captured(randomised(Net()).float(), (1, 3, 8, 8), torch.float32)
    recipe = Recipe(format=Format.PTL, ptl_prepacked=True)
    first, second = tmp_path / "first.ptl", tmp_path / "second.ptl"
    for path in (first, second):
        write(optimize(program, recipe), recipe, path)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = {info.filename.partition("/")[2]: info.file_size for info in archive.infolist()}
    weights = sum(tensor.numel() * 4 for tensor in Net().state_dict().values())
    assert sum(size for name, size in names.items() if name.startswith("constants/")) == weights
    assert not any(name.startswith("code/") or name == "constants.pkl" for name in names)
    assert NAMESPACE.encode() not in first.read_bytes()


def program_of(*steps: tuple[str, int, int]) -> dict[str, bytes]:
    code: Tree = (
        ("instructions", steps), ("operators", ((OPERATOR, "", 4),)), ("constants", (1, None, "{}")), ("types", ()),
        ("register_size", 1),
    )  # fmt: skip
    return {"bytecode.pkl": dump((8, ("__torch__.M.forward", code, (("arguments", ()), ("returns", ())))))}


def test_a_program_that_is_not_straight_is_refused() -> None:
    with pytest.raises(ExportError, match="the instruction JF cannot have packed weights"):
        packed(program_of(("JF", 1, 0)))


def test_weights_that_a_run_would_make_are_refused() -> None:
    with pytest.raises(ExportError, match="no constant: its weights cannot be packed"):
        packed(program_of(("LOADC", 0, 0), ("LOAD", 1, 0), ("LOADC", 1, 0), ("LOADC", 2, 0), ("OP", 0, 0)))
