"""Graphs whose code is due answer, copy, pickle and print like those whose code is there."""

import copy
import inspect
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule, symbolic_trace

from export.quick import late_code


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu() + 1


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scale = symbolic_trace(Inner()), nn.Linear(3, 3)

    def forward(self, image: Tensor, twice: Tensor) -> Tensor:
        scaled: Tensor = self.scale(self.inner(image)) * twice
        return scaled


def generated(monkeypatch: pytest.MonkeyPatch) -> list[GraphModule]:
    """The modules whose code is generated from here on."""
    seen: list[GraphModule] = []
    whole = GraphModule.recompile

    def recompile(module: GraphModule) -> object:
        seen.append(module)
        return whole(module)

    monkeypatch.setattr(GraphModule, "recompile", recompile)
    monkeypatch.setattr(late_code, "are_known", lambda releases, sources: True)
    return seen


ASKED: dict[str, Callable[[GraphModule], object]] = {
    "a call": lambda module: module(torch.ones(2, 3), torch.tensor(2.0)),
    "forward": lambda module: inspect.signature(module.forward),
    "forward of its class": lambda module: inspect.signature(type(module).forward),
    "code": lambda module: module.code,
    "text": str,
    "lines": lambda module: module._lineno_map,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)).code,
    "copy": lambda module: copy.deepcopy(module)(torch.ones(2, 3), torch.tensor(2.0)),
    "specs": lambda module: torch.export.export(module, (torch.ones(2, 3), torch.tensor(2.0))).graph_signature,
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("within", [True, False])
def test_what_is_asked_is_answered_as_ever(asked: str, within: bool) -> None:
    torch.manual_seed(0)
    net = Net().eval()
    expected = ASKED[asked](symbolic_trace(net))
    with late_code.late_code() as on:
        assert on
        module = symbolic_trace(net)
        answer = ASKED[asked](module) if within else None
    if not within:
        answer = ASKED[asked](module)
    if isinstance(expected, Tensor):
        assert torch.equal(answer, expected)
    else:
        assert str(answer) == str(expected)


def test_code_is_generated_once_and_only_where_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = generated(monkeypatch)
    with late_code.late_code():
        module = symbolic_trace(Inner())
        module.recompile()
        copied = copy.deepcopy(module)
        assert seen == []
        assert torch.equal(module(torch.tensor([-1.0])), torch.tensor([1.0]))
        assert module.code and module.forward
        assert seen == [module]
        assert torch.equal(copied(torch.tensor([2.0])), torch.tensor([3.0]))
    assert seen == [module, copied]


def test_a_graph_that_was_changed_gets_new_code() -> None:
    with late_code.late_code():
        module = symbolic_trace(Inner())
        assert torch.equal(module(torch.tensor([-1.0])), torch.tensor([1.0]))
        next(node for node in module.graph.nodes if node.target == "relu").target = "neg"
        module.recompile()
    assert torch.equal(module(torch.tensor([-1.0])), torch.tensor([2.0]))
    assert "neg" in module.code


def test_nothing_stays_behind_and_another_torch_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = GraphModule.recompile
    with late_code.late_code():
        assert GraphModule.recompile is not whole
    assert GraphModule.recompile is whole
    monkeypatch.setitem(late_code.SOURCES, "torch.fx.GraphModule.recompile", "0" * 32)
    with late_code.late_code() as on:
        assert not on
        assert GraphModule.recompile is whole
