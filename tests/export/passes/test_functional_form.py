"""In-place calls become functional where nobody can tell."""

from __future__ import annotations

import torch
from pass_rig import Lambda, apply, captured, randomised
from torch import nn

from export.artifact import Refusal
from export.graph_editor import GraphEditor
from export.passes import functional_form
from export.pipeline import optimize
from export.recipe import Format, Recipe


def test_replaces_writes_that_nobody_else_sees() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1), nn.Hardswish(inplace=True))
    assert apply(net, (1, 3, 4, 4), functional_form)[1].rewrites == 2


def test_a_write_that_others_see_blocks_all_passes() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["conv"](x)
        view = y.transpose(1, 2)
        y.relu_()
        return view + 0

    program = captured(randomised(Lambda(forward, conv=nn.Conv2d(3, 3, 1))), (1, 3, 3, 3))
    optimised = optimize(program, Recipe(format=Format.ONNX))
    assert optimised.module is program.module
    assert {log.not_run is None for log in optimised.passes} == {False}
    assert optimised.passes[0].name == "functional_form"
    assert optimised.passes[0].refused == (
        Refusal(operator="aten::relu_", count=1, why="others read what it writes into"),
    )


class Residual(nn.Module):
    """A branch whose sum is written into it, as ResNets do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        view = self.conv(x).transpose(1, 2)
        return self.act(view) * 2


def test_every_kind_of_write_that_stays_is_said_with_its_place() -> None:
    def into_the_input(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return x.clone() + x.mul_(1)

    def into_a_slice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        y[:, 0] = 0
        return y

    kept = functional_form.writes_seen_by_others
    view = kept(GraphEditor(captured(randomised(nn.Sequential(Residual(), Residual())), (1, 3, 3, 3)).module))
    assert [(row.operator, row.count, row.modules) for row in view] == [("aten::relu_", 2, ("0.act", "1.act"))]
    assert view[0].why == "it writes into what may be a view of another tensor"
    (row,) = kept(GraphEditor(captured(Lambda(into_the_input), (2, 3)).module))
    assert (row.operator, row.why) == ("aten::mul_", "it writes into an input or a weight")
    written = kept(GraphEditor(captured(Lambda(into_a_slice), (2, 3)).module))
    assert [row.count for row in written] == [1]
