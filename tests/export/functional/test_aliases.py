"""Who shares memory in a captured graph: told apart from a run, in places where the operator's name does not tell."""

from __future__ import annotations

import torch
from pass_rig import Lambda, captured
from torch import Tensor
from torch.fx import Node

from export.functional.aliases import observe, writes, written

aten = torch.ops.aten


def seen(forward: object) -> tuple[dict[str, Node], object]:
    module = captured(Lambda(forward), (2, 6)).module  # type: ignore[arg-type]
    nodes = {node.name: node for node in module.graph.nodes}
    return nodes, observe(module)


def test_a_reshape_is_a_view_where_it_can_be_and_a_copy_where_not() -> None:
    def forward(m: object, x: Tensor) -> Tensor:
        y = x * 2
        return y.reshape(12) + y.t().reshape(12)

    nodes, aliases = seen(forward)
    assert aliases.parent(nodes["reshape"]) is nodes["mul"]
    assert aliases.parent(nodes["t"]) is nodes["mul"]
    assert aliases.parent(nodes["reshape_1"]) is None
    assert aliases.root(nodes["reshape"]) is nodes["mul"]


def test_a_cast_to_the_same_dtype_is_the_tensor_itself() -> None:
    def forward(m: object, x: Tensor) -> Tensor:
        y = x * 2
        return y.to(torch.float64).relu() + y.to(torch.float32)

    nodes, aliases = seen(forward)
    assert aliases.is_same_tensor(nodes["to"], nodes["mul"])
    assert not aliases.is_same_tensor(nodes["to_1"], nodes["mul"])


def test_parts_of_a_split_and_results_of_writes_lie_in_what_they_come_from() -> None:
    def forward(m: object, x: Tensor) -> Tensor:
        y = x * 2
        left, right = y.chunk(2, 1)
        left.add_(right)
        return y

    nodes, aliases = seen(forward)
    assert aliases.parent(nodes["getitem_1"]) is nodes["mul"]
    assert aliases.places[nodes["getitem_1"]].offset == 3
    assert written(nodes["add_"]) is nodes["getitem"] is aliases.parent(nodes["add_"])
    assert not aliases.reshaped


def test_a_write_into_several_tensors_has_no_single_one() -> None:
    def forward(m: object, x: Tensor) -> Tensor:
        y, z = x * 2, x * 3
        torch._foreach_add_([y, z], 1.0)
        return y + z

    nodes, _ = seen(forward)
    call = nodes["_foreach_add_"]
    assert writes(call.target) and written(call) is None
    assert not writes(aten.add.Tensor) and written(nodes["mul"]) is None


def test_calls_that_give_another_shape_are_told() -> None:
    def forward(m: object, x: Tensor) -> Tensor:
        y = x * 2
        return y.unsqueeze_(0).relu_()

    nodes, aliases = seen(forward)
    assert aliases.reshaped == {nodes["unsqueeze_"]}
    assert aliases.places[nodes["mul"]].sizes == (2, 6)
    assert tuple(aliases.values[nodes["mul"]].shape) == (2, 6)
