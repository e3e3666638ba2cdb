"""What no artifact can hold is refused before a converter sees it, with its line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from small_models import spec_of
from torch import Tensor, nn

from edgevit.errors import ExportError
from edgevit.spec import TensorSpec
from export.program import Program, capture


class Net(nn.Module):
    def __init__(self, way: Callable[[Net, Tensor], object]) -> None:
        super().__init__()
        self.way, self.conv = way, nn.Conv2d(3, 3, 1)
        self.register_buffer("count", torch.zeros(3, 1, 1))

    def forward(self, x: Tensor) -> object:
        return self.way(self, x)


def captured(way: Callable[[Net, Tensor], object]) -> Program:
    image = TensorSpec(name="x", shape=(1, 3, 4, 4))
    return capture(Net(way), spec_of("net", (image,), (TensorSpec(name="y", shape=(1, 3, 4, 4)),)))


def chooses(net: Net, x: Tensor) -> Tensor:
    return x * 2 if x.sum() > 0 else x


def counts(net: Net, x: Tensor) -> Tensor:
    net.count += 1
    return x + net.count


def counts_anew(net: Net, x: Tensor) -> Tensor:
    net.count = net.count + 1
    return x + net.count


def under_autocast(net: Net, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return net.conv(x).float()


REFUSED: dict[str, tuple[Callable[[Net, Tensor], object], str]] = {
    "a choice": (chooses, r"data-dependent expression.* in chooses: return x \* 2 if x\.sum\(\) > 0 else x$"),
    "a number": (
        lambda net, x: x * x.max().item(),
        r"aten::item reads a number out of a tensor, at .*:\d+ in forward",
    ),
    "numpy": (lambda net, x: x + torch.from_numpy(x.numpy()), r"numpy\(\) is not supported .*, at .*:\d+ in <lambda>"),
    "random": (lambda net, x: x + torch.rand(3, 4, 4), r"aten::rand draws random numbers, at .*:\d+ in forward"),
    "dropout": (lambda net, x: nn.functional.dropout(x), r"aten::dropout draws random numbers, at "),
    "noise": (lambda net, x: x + torch.zeros_like(x).normal_(), r"aten::normal_ draws random numbers, at "),
    "half": (lambda net, x: x.half().float() * 2, r"aten::to computes in float16, at .*:\d+ in forward"),
    "autocast": (under_autocast, r"computes under autocast in bfloat16, at .*:\d+ in forward"),
    "a shape": (lambda net, x: x[x > 0], r"aten::index gives a shape that depends on the values of the input, at "),
    "state": (counts, r"it writes into 'count' in its forward, and reads it, at .*:\d+ in forward: return self\.way"),
    "state anew": (counts_anew, r"it writes into 'count' in its forward, and reads it, at .*:\d+ in forward"),
    "a mistake": (lambda net, x: x @ torch.ones(5, 5), r"cannot capture net with inputs x .*, at .*:\d+ in <lambda>"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_its_line(name: str) -> None:
    way, message = REFUSED[name]
    with pytest.raises(ExportError, match=message):
        captured(way)


def scratch(net: Net, x: Tensor) -> Tensor:
    net.count.copy_(x.mean((0, 2, 3))[:, None, None])
    return x + net.count


def its_input(net: Net, x: Tensor) -> Tensor:
    x.mul_(2)
    return x + 1


ALLOWED = {
    "dropout that is off": lambda net, x: nn.functional.dropout(x, training=False) * 2,
    "attention without dropout": lambda net, x: nn.functional.scaled_dot_product_attention(x, x, x),
    "a cast to double": lambda net, x: x.double().float() * 2,
    "a cast that is autocast's own": lambda net, x: torch.autocast("cpu", enabled=False)(net.conv)(x),
    "scratch": scratch,
    "its input": its_input,
    "counting what nobody reads": lambda net, x: (net.count.add_(1), x * 2)[1],
    "printing": lambda net, x: (print(x.shape), x * 2)[1],
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_changes_no_answer_is_captured(name: str) -> None:
    program = captured(ALLOWED[name])
    torch.manual_seed(0)
    net = Net(ALLOWED[name]).eval()
    net.load_state_dict(program.module.state_dict(), strict=False)
    with torch.no_grad():
        expected = net(program.example[0].clone())
        assert torch.equal(program.module(*program.example), expected)
        assert torch.equal(program.module(*program.example), expected)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (lambda net, x: x, r"net computes nothing: it returns its input 'x' as it is, or what it holds"),
        (lambda net, x: torch.ones(1, 3, 4, 4), "net does not read its input 'x': it gives one answer to all"),
        (lambda net, x: net.conv(torch.ones(1, 3, 4, 4)), "net does not read its input 'x'"),
    ],
)
def test_what_computes_nothing_of_its_input_is_told(way: Callable[[Net, Tensor], object], words: str) -> None:
    with pytest.raises(ExportError, match=words):
        captured(way)


def test_a_write_into_weights_past_their_gradients_is_named_with_its_line() -> None:
    class Decays(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            self.conv.weight.data.mul_(0.5)
            return self.conv(x)

    image = TensorSpec(name="x", shape=(1, 3, 4, 4))
    model = Decays()
    before = model.conv.weight.detach().clone()
    words = r"cannot capture net: it keeps 'conv\.weight' from call to call, at .*:\d+ in forward: self\.conv\.weight"
    with pytest.raises(ExportError, match=words) as caught:
        capture(model, spec_of("net", (image,), (TensorSpec(name="y", shape=(1, 3, 4, 4)),)))
    assert caught.value.hint == (
        "an artifact keeps nothing from run to run: take 'conv.weight' as an input and return it"
    )
    assert torch.equal(model.conv.weight, before)
