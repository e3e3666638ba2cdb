"""In-place calls become functional where nobody can tell."""

from __future__ import annotations

import torch
from pass_rig import Lambda, apply, captured, randomised
from torch import nn

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
    assert "relu_" in optimised.passes[-1].detail
