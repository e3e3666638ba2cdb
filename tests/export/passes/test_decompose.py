"""What a format lacks is written otherwise, whatever is optimised, and nothing is said where there is nothing to do."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, calls, captured
from torch import Tensor, nn
from torch.nn import functional

from export.graph_editor import GraphEditor
from export.passes import decompose
from export.pipeline import optimize
from export.recipe import Format, Optimize, Recipe

aten = torch.ops.aten


@pytest.mark.parametrize("optimize_", Optimize)
def test_whatever_is_optimised(optimize_: Optimize) -> None:
    program = captured(nn.Sequential(nn.RMSNorm(4), nn.GELU("tanh")).double(), (1, 3, 4))
    for format, target in ((Format.PTL, aten.rms_norm.default), (Format.PTE, aten.gelu.default)):
        done = optimize(program, Recipe(format=format, optimize=optimize_))
        assert calls(done.module, target) == 0
        assert next(log.rewrites for log in done.passes if log.name == "decompose") == 1
        torch.testing.assert_close(done.module(*program.example), program.module(*program.example))


@pytest.mark.parametrize("optimize_", Optimize)
def test_nothing_is_said_where_nothing_is_to_do(optimize_: Optimize) -> None:
    program = captured(nn.GELU().double(), (1, 3, 4))
    assert decompose.is_needed(program.module, Format.PTE)
    done = optimize(program, Recipe(format=Format.PTE, optimize=optimize_))
    assert "decompose" not in [log.name for log in done.passes]
    assert not decompose.is_needed(program.module, Format.ONNX)
    if optimize_ is Optimize.NONE:
        assert done.module is program.module


def test_what_others_write_into_is_memory_of_its_own() -> None:
    """A shuffle of one channel a group is a view of its input: a write into the result must not reach that."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = x * 2
        shuffled = functional.channel_shuffle(y, 4)
        shuffled += 1
        return y + shuffled.relu()

    program = captured(Lambda(forward), (1, 4, 2))
    editor = GraphEditor(program.module)
    assert decompose.run(editor, Format.ONNX).rewrites == 1
    module = editor.finish()
    torch.testing.assert_close(module(*program.example), program.module(*program.example))


def test_onnx_without_optimisation_has_no_writes() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = x * 2
        y[:, 1:, ::2] = 0.5
        y[y > 1] = -2.0
        return y

    program = captured(Lambda(forward), (1, 3, 4))
    done = optimize(program, Recipe(format=Format.ONNX, optimize=Optimize.NONE))
    assert [log.name for log in done.passes][:1] == ["functional_form"]
    assert not any(
        getattr(node.target, "_schema", None) and node.target._schema.is_mutable for node in done.module.graph.nodes
    )
    torch.testing.assert_close(done.module(*program.example), program.module(*program.example))
    kept = optimize(program, Recipe(format=Format.PTL, optimize=Optimize.NONE))
    assert kept.module is program.module
