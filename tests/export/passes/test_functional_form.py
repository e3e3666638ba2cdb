"""In-place calls become functional where nobody can tell."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, apply, calls, captured, places, randomised
from torch import nn

from export.artifact import Refusal
from export.graph_editor import GraphEditor
from export.passes import functional_form
from export.pipeline import optimize
from export.recipe import Format, Recipe


def test_replaces_writes_that_nobody_else_sees() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1), nn.Hardswish(inplace=True))
    module, log = apply(net, (1, 3, 4, 4), functional_form)
    assert log.rewrites == 2
    assert calls(module, torch.ops.aten.relu_.default, torch.ops.aten.hardswish_.default) == 0


def test_a_write_that_stays_blocks_all_passes() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["conv"](x)
        torch._foreach_add_([y], 1.0)
        return y + 0

    program = captured(randomised(Lambda(forward, conv=nn.Conv2d(3, 3, 1))), (1, 3, 3, 3))
    optimised = optimize(program, Recipe(format=Format.ONNX))
    assert optimised.module is program.module
    assert {log.not_run is None for log in optimised.passes[1:]} == {False}
    assert optimised.passes[0].name == "functional_form"
    assert optimised.passes[0].refused == (
        Refusal(operator="aten::_foreach_add_", count=1, why="it writes into several tensors at once"),
    )


class Residual(nn.Module):
    """A branch whose sum is written into it, as ResNets do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.conv(x))
        y += x
        return self.act(y)


def test_a_residual_that_is_written_into_a_branch_is_optimised_like_one_that_is_not() -> None:
    net = nn.Sequential(Residual(), Residual())
    program = captured(randomised(net), (1, 3, 4, 4))
    for format in Format:
        optimised = optimize(program, Recipe(format=format))
        assert [log.name for log in optimised.passes if log.not_run or log.refused] == []
        assert calls(optimised.module, torch.ops.aten.batch_norm.default) == 0
        before, after = program.module(*program.example), optimised.module(*optimised.example)
        assert torch.allclose(before, after, rtol=0, atol=1e-12)


def test_every_place_that_stays_is_said_once_for_all() -> None:
    class Bump(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            torch._foreach_mul_([y], 3.0)
            return y

    editor = GraphEditor(captured(nn.Sequential(Bump(), Bump()), (2, 3)).module)
    (row,) = functional_form.run(editor).refused
    assert (row.operator, row.count, row.modules) == ("aten::_foreach_mul_", 2, ("0", "1"))


def test_a_write_without_a_functional_form_stays_and_is_said() -> None:
    library = torch.library.Library("aside", "FRAGMENT")
    library.define("bump_(Tensor(a!) x) -> Tensor(a!)")
    library.impl("bump_", lambda x: x.add_(1), "CompositeExplicitAutograd")
    module = captured(Lambda(lambda m, x: (x * 2).relu_()), (2, 3)).module
    (node,) = module.graph.find_nodes(op="call_function", target=torch.ops.aten.relu_.default)
    node.target = torch.ops.aside.bump_.default
    editor = GraphEditor(module)
    log = functional_form.run(editor)
    assert log.rewrites == 0
    (row,) = log.refused
    assert (row.operator, row.why) == ("aside::bump_", "it has no functional form")


MAY_HAND_THROUGH = {
    "view": lambda x: x.reshape(-1),
    "flatten": lambda x: x.flatten(),
    "contiguous": lambda x: x.contiguous(),
    "dropout": lambda x: torch.dropout(x, 0.5, False),
    "feature dropout": lambda x: torch.feature_dropout(x, 0.5, False),
    "alpha dropout": lambda x: torch.alpha_dropout(x, 0.5, False),
    "feature alpha dropout": lambda x: torch.feature_alpha_dropout(x, 0.5, False),
    "part": lambda x: x[:1],
    "transposed": lambda x: x.transpose(0, 1),
    "expanded": lambda x: x.expand(1, 3, 3),
    "cast": lambda x: x.to(torch.float64),
    "type as": lambda x: x.type_as(x.abs()),
    "summed to size": lambda x: x.sum_to_size(3, 3),
    "at least 1-D": torch.atleast_1d,
    "at least 2-D": torch.atleast_2d,
    "at least 3-D": torch.atleast_3d,
    "einsum": lambda x: torch.einsum("ij->ji", x),
    "unsafe view": lambda x: torch.ops.aten._unsafe_view(x, [9]),
    "broadcast": lambda x: torch.broadcast_tensors(x, x)[0],
    "chunk": lambda x: x.chunk(3)[1],
}


@pytest.mark.parametrize("kind", MAY_HAND_THROUGH)
def test_a_write_through_what_may_be_its_input_is_seen_by_all(kind: str) -> None:
    """``y`` is read behind the write into what may be ``y`` itself, also as a part that was taken before."""

    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = x.exp()
        part = y[:, 0]
        MAY_HAND_THROUGH[kind](y).neg_()
        return y + part

    module, log = apply(Lambda(forward), (3, 3), functional_form)
    assert log.rewrites == 1
    assert calls(module, torch.ops.aten.neg_.default) == 0


def test_a_write_into_itself_is_replaced() -> None:
    def twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = x.exp()
        return y.add_(y) + y

    assert apply(Lambda(twice), (3, 3), functional_form)[1].rewrites == 1


def test_keywords_and_place_are_kept() -> None:
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Hardtanh(-0.1, 0.2, inplace=True)))
    module, log = apply(net, (1, 3, 4, 4), functional_form)
    assert log.rewrites == 1
    assert places(module, torch.ops.aten.hardtanh.default) == ["0.1"]
    scaled = Lambda(lambda m, x: x.exp().add_(x, alpha=3))
    assert apply(scaled, (3, 3), functional_form)[1].rewrites == 1
