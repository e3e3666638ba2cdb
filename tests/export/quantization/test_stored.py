"""How often weights count that several layers have, by what a file could store once."""

from __future__ import annotations

import copy

import torch
from pass_rig import captured
from torch import Tensor, nn

from export.int8.record import LayerRecord, Scheme
from export.program import Program
from export.quantization.layers import layers_of, place_of
from export.quantization.stored import counted_once, share_weights

SIZE = 6 * 6


class Calls(nn.Module):
    """One layer twice, its equal, its transpose as a product, another, and one with channels of other lengths."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.shared = nn.Linear(6, 6)
        self.equal = copy.deepcopy(self.shared)
        self.other = nn.Linear(6, 6)
        self.longer = copy.deepcopy(self.shared)
        self.longer.weight.data *= 2.0 ** torch.arange(6)[:, None]
        self.turned = nn.Parameter(self.shared.weight.detach().t().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        x = self.equal(self.shared(self.shared(x)))
        return self.longer(self.other(torch.matmul(x, self.turned)))


def counts(program: Program, schemes: list[Scheme]) -> list[int]:
    """The number of weights of each layer, in order, with the layers in ``schemes``."""
    layers = {
        node.name: LayerRecord(name=node.name, module=place_of(node), kind=kind, weights=weight.numel(), scheme=scheme)
        for (node, kind, weight), scheme in zip(layers_of(program), schemes, strict=True)
    }
    found = counted_once(program, layers)
    assert list(found) == list(layers)
    return [layer.weights for layer in found.values()]


def calls() -> Program:
    return captured(Calls().eval(), (2, 6), torch.float32)


def test_equal_weights_count_once() -> None:
    assert counts(calls(), [Scheme.FLOAT] * 6) == [SIZE, 0, 0, 0, SIZE, SIZE]


def test_int8_weights_of_equal_steps_count_once() -> None:
    """Factors of two for each channel leave the steps as they are."""
    for scheme in (Scheme.DYNAMIC, Scheme.STATIC, Scheme.WEIGHTS):
        assert counts(calls(), [scheme] * 6) == [SIZE, 0, 0, 0, SIZE, 0]


def test_calls_in_float_and_in_int8_need_weights_each() -> None:
    schemes = [Scheme.FLOAT, Scheme.DYNAMIC, Scheme.STATIC, Scheme.FLOAT, Scheme.FLOAT, Scheme.FLOAT]
    assert counts(calls(), schemes) == [SIZE, SIZE, 0, 0, SIZE, SIZE]


def test_whether_layers_share_weights() -> None:
    assert share_weights(calls())
    lone = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    assert not share_weights(captured(lone.eval(), (2, 6), torch.float32))


def test_as_many_weights_in_other_rows_are_others() -> None:
    """The same numbers in memory, of two output channels and of three."""
    first, second = nn.Linear(3, 2, bias=False), nn.Linear(2, 3, bias=False)
    second.weight.data = first.weight.detach().reshape(3, 2).clone()
    program = captured(nn.Sequential(first, second).eval(), (1, 3), torch.float32)
    assert not share_weights(program)
    assert counts(program, [Scheme.DYNAMIC, Scheme.DYNAMIC]) == [6, 6]
