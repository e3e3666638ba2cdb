"""The lowering without repeated traces gives the bytes of the plain one, and stands aside where it was not tried."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from itertools import cycle
from pathlib import Path

import pytest
import torch
from pass_rig import captured
from pte_plans import planned
from torch import Tensor, nn
from torch.export import ExportedProgram

from export.formats.pte_file import quick_lowering, write
from export.int8.record import Scheme
from export.pipeline import optimize
from export.program import Program
from export.quiet import quiet
from export.recipe import Format, Optimize, Precision, Recipe


class Branches(nn.Module):
    """What XNNPACK's passes rewrite: batch norm behind and before, activations, seven parts, a pool, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.norm, self.attend, self.head = nn.BatchNorm2d(56), nn.LayerNorm(56), nn.Linear(56, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        y = self.norm(torch.cat([y, y + 1, y * 2, y.sigmoid(), y - 3, y.tanh(), y.exp()], 1))
        y = nn.functional.interpolate(nn.functional.hardswish(y), size=(6, 6), mode="bilinear")
        tokens = self.attend(y.flatten(2).transpose(1, 2))
        tokens = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return self.head(tokens.mean(1)).softmax(-1)


def program() -> Program:
    torch.manual_seed(0)
    return captured(Branches().eval(), (1, 3, 16, 16), torch.float32)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(format=Format.PTE, optimize=Optimize.NONE),
        Recipe(format=Format.PTE),
        Recipe(format=Format.PTE, precision=Precision.FP16),
        Recipe(format=Format.PTE, precision=Precision.INT8),
    ],
    ids=["none", "full", "fp16", "int8"],
)
def test_the_bytes_are_the_same(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = optimize(program(), recipe)
    if recipe.precision is Precision.INT8:
        schemes = cycle((Scheme.STATIC, Scheme.DYNAMIC))
        prepared = planned(prepared, lambda node, kind: next(schemes), torch.randn(4, 3, 16, 16))
    traces = []
    # the plain one first: the very first lowering of a process also traces the patterns that it looks for
    for name, lowering in (("plain", nullcontext), ("quick", quick_lowering.quick_lowering)):
        monkeypatch.setattr(write, "quick_lowering", lowering)
        with quiet(), Traces() as count:
            write.write(prepared, recipe, tmp_path / f"{name}.pte")
        traces.append(count[0])
    assert (tmp_path / "quick.pte").read_bytes() == (tmp_path / "plain.pte").read_bytes()
    assert traces[1] < traces[0] / 1.5, traces


class Traces:
    """How often a pass traces a graph while the block runs."""

    def __enter__(self) -> list[int]:
        from executorch.exir.pass_base import _ExportPassBase

        self.owner, self.plain, count = _ExportPassBase, _ExportPassBase.call_submodule, [0]

        def call_submodule(*args: object) -> object:
            count[0] += 1
            return self.plain(*args)

        _ExportPassBase.call_submodule = call_submodule
        return count

    def __exit__(self, *raised: object) -> None:
        self.owner.call_submodule = self.plain


def test_it_is_in_force_beside_the_pinned_packages_and_leaves_nothing_behind() -> None:
    from executorch.exir.pass_base import _ExportPassBase
    from torch.export import ExportedProgram
    from torch.fx.traceback import NodeSource

    plain = _ExportPassBase.call, ExportedProgram.run_decompositions
    with quick_lowering.quick_lowering() as on:
        assert on
        assert (_ExportPassBase.call, ExportedProgram.run_decompositions) != plain
    assert (_ExportPassBase.call, ExportedProgram.run_decompositions) == plain
    assert not hasattr(NodeSource, "__deepcopy__")


@pytest.mark.parametrize("change", ["version", "source", "gone"])
def test_it_stands_aside_where_it_was_not_tried(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.exir.pass_base import _ExportPassBase

    if change == "version":
        monkeypatch.setitem(quick_lowering.TRIED_WITH, "executorch", "1.4.2")
    elif change == "source":
        monkeypatch.setitem(quick_lowering.SOURCES, "torch.export.ExportedProgram.run_decompositions", "0" * 32)
    else:
        monkeypatch.setitem(quick_lowering.SOURCES, "torch.export.ExportedProgram.gone", "0" * 32)
    plain = _ExportPassBase.call
    with quick_lowering.quick_lowering() as on:
        assert not on
        assert _ExportPassBase.call is plain


def test_only_programs_with_nothing_left_to_do_are_given_back() -> None:
    aten = torch.ops.aten

    def exported(forward: Callable[[Tensor], Tensor]) -> ExportedProgram:
        class Net(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return forward(x)

        return torch.export.export(Net(), (torch.zeros(2, 3),))

    plain, writes = exported(lambda x: x.relu().square()), exported(lambda x: x.clone().add_(1))
    results = [exported(lambda x: x.relu()), exported(lambda x: x.relu())]
    run = quick_lowering._once(lambda program, table: results.pop())
    assert run(plain, {}) is plain
    last = run(writes, {})
    assert last is not writes
    assert run(last, {aten.square.default: None}) is last
    assert run(last, {aten.relu.default: None}) is not last
    assert results == []
