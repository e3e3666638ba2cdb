"""Graphs that write into tensors, in every way that forward code does, against the same code run eagerly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, captured
from torch import Tensor

from export.functional.aliases import writes
from export.functional.rewrite import functionalise, twin_of

aten = torch.ops.aten
Forward = Callable[[Tensor], Tensor | tuple[Tensor, ...]]


def residual(x: Tensor) -> Tensor:
    y = x.exp()
    y += x
    return torch.relu_(y) + y


def one_row(x: Tensor) -> Tensor:
    y = x * 2
    y[:, 1] += 1
    return y


def some_rows(x: Tensor) -> Tensor:
    y = x * 2
    y[:, 1:3].mul_(x[:, :2])
    y[..., :2] = 0.5
    return y


def every_other(x: Tensor) -> Tensor:
    y = x * 2
    y[:, :, ::2] = x[:, :, 1::2]
    y[:, :, 1::2] -= 1
    return y


def reversed_before(x: Tensor) -> Tensor:
    y = x * 2
    early = y.permute(0, 2, 1)[:, 1:]
    y.transpose(1, 2).add_(torch.arange(4.0, dtype=torch.float64))
    y.view(-1)[3:5] = 7
    return early + y[:, :, :1].permute(0, 2, 1)


def diagonal(x: Tensor) -> Tensor:
    y = x * 2
    y[0].diagonal().fill_(3)
    return y


def chunks(x: Tensor) -> Tensor:
    y = x * 2
    left, right = y.chunk(2, 1)
    left.add_(right)
    right.zero_()
    for row in y.unbind(2):
        row.mul_(1.5)
    a, b = y.split([1, 3], 1)
    b -= a
    return y + y.view(-1).sum()


def masked(x: Tensor) -> Tensor:
    y = x * 2
    y[y > 0.5] = 0.5
    y.masked_fill_(x < 0, -1.0)
    y[:, torch.tensor([0, 2])] += 1
    return y


def into_a_given_one(x: Tensor) -> Tensor:
    total = torch.empty(1, 4, 6, dtype=torch.float64)
    torch.add(x, 1, out=total)
    torch.mul(total, x, out=total)
    part = torch.zeros(1, 4, 6, dtype=torch.float64)
    part[:, 1:3].copy_(total[:, :2])
    return part


def another_dtype(x: Tensor) -> Tensor:
    y = x.float()
    y *= torch.linspace(0.1, 1, 6, dtype=torch.float64)
    y.copy_(x * 3)
    count = torch.zeros(1, 4, 6, dtype=torch.int64)
    count += torch.ones(6, dtype=torch.int32)
    return (y + count).double()


def another_shape(x: Tensor) -> Tensor:
    y = x * 2
    y.unsqueeze_(0)
    y[0, 0, 1] = 4
    y.squeeze_(0).transpose_(1, 2)
    y.clamp_(-1, 1)
    return y


def what_is_returned(x: Tensor) -> tuple[Tensor, Tensor]:
    y = x * 2
    early = y[:, 0]
    y.neg_()
    return early, y


def the_input(x: Tensor) -> Tensor:
    first = x[:, 0]
    x.sub_(0.5).div_(0.25)
    return x * first[:, None]


def a_list_of_them(x: Tensor) -> Tensor:
    parts = [x * k for k in range(3)]
    for part in parts:
        part.add_(x)
        torch.nn.functional.hardswish(part, inplace=True)
    return torch.cat(parts, 1)


WAYS: tuple[Forward, ...] = (
    residual, one_row, some_rows, every_other, reversed_before, diagonal, chunks, masked, into_a_given_one,
    another_dtype, another_shape, what_is_returned, the_input, a_list_of_them,
)  # fmt: skip


@pytest.mark.parametrize("forward", WAYS, ids=lambda way: way.__name__)
def test_no_write_is_left_and_the_answers_are_the_same_bits(forward: Forward) -> None:
    def first(m: object, x: Tensor) -> Tensor:
        result = forward(x)
        return torch.cat([part.flatten() for part in result]) if isinstance(result, tuple) else result

    module = captured(Lambda(first), (1, 4, 6)).module
    image = torch.randn(1, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = first(None, image.clone())
    found, stay = functionalise(module)
    module.recompile()
    assert not stay
    assert found or forward is the_input  # whose writes torch.export has taken out
    assert not [node for node in module.graph.nodes if writes(node.target)]
    assert torch.equal(module(image), expected)
    assert module(image).dtype == expected.dtype


def test_a_tensor_that_shows_an_element_twice_is_not_written_apart() -> None:
    def forward(m: object, x: Tensor) -> Tensor:
        y = x * 2
        windows = y.as_strided((3, 2), (1, 1))
        windows[0] += 1
        windows.relu_()
        return y

    module = captured(Lambda(forward), (8,)).module
    before = str(module.graph)
    found, stay = functionalise(module)
    assert found == 3
    assert {why for _, why in stay} == {
        "it writes into a tensor that shows an element twice, or takes its shape from another"
    }
    assert str(module.graph) == before


def test_another_shape_that_others_read_stays() -> None:
    """Captured graphs read what a call gave another shape from that call; this one does not."""

    def forward(m: object, x: Tensor) -> Tensor:
        y = x * 2
        z = y.unsqueeze_(0)
        return y.sum(0) + z

    module = captured(Lambda(forward), (3, 4)).module
    (product,) = module.graph.find_nodes(op="call_function", target=aten.mul.Tensor)
    (total,) = module.graph.find_nodes(op="call_function", target=aten.sum.dim_IntList)
    total.update_arg(0, product)
    ((node, why),) = functionalise(module)[1]
    assert (node.target, why) == (aten.unsqueeze_.default, "it gives another shape to what others read")


def test_the_functional_form_takes_the_same() -> None:
    assert twin_of(aten.transpose_.default) is aten.transpose.int
    assert twin_of(aten.dropout_.default) is aten.dropout.default
    assert twin_of(aten.add.out) is aten.add.Tensor
    assert twin_of(aten.clamp_.Tensor) is aten.clamp.Tensor
    assert twin_of(aten.add.Tensor) is None


def test_new_calls_keep_the_place_of_the_write() -> None:
    class Block(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            y[:, 0] = 1
            return y

    module = captured(torch.nn.Sequential(Block()), (2, 3)).module
    functionalise(module)
    new = [node for node in module.graph.nodes if node.target is aten.cat.default]
    assert len(new) == 1
    assert "Block" in str(new[0].meta["nn_module_stack"])
    assert "y[:, 0] = 1" in new[0].meta["stack_trace"]
