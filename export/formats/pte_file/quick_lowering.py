"""``quick_lowering``: ExecuTorch's lowering without the traces that repeat an earlier one.

Of the lowering of an EdgeViT a third runs graphs again, operator by operator on fake tensors, that have not changed
since the last time, and a fifth copies the history of every node at every one of these runs. While the block runs

- a pass of XNNPACK that has changed nothing keeps the graph instead of tracing it again;
- ``run_decompositions`` returns a program in which it has nothing to decompose and no call that writes into a tensor;
- the history of a node is shared instead of copied (``export.quick.shared_history``).

The bytes are those of the plain lowering; a test compares them. All three rest on how these versions work inside, so
they stand aside (the plain lowering runs) unless the installed packages have the very source that they were tried with.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

from export.quick.known_sources import are_known
from export.quick.shared_history import shared_history

if TYPE_CHECKING:
    from executorch.exir.pass_base import ExportPass
    from torch._ops import OpOverload
    from torch.export import ExportedProgram
    from torch.fx import GraphModule
    from torch.fx.passes.infra.pass_base import PassResult

TRIED_WITH = {"executorch": "1.4.1", "torch": "2.13.0"}
SOURCES = {
    "executorch.exir.pass_base._ExportPassBase.call": "689e39bb23b9834cd8d0862b213ef510",
    "torch.export.ExportedProgram.run_decompositions": "c74cbc17d387402184fe5656d24fe9b1",
}
"""What is replaced, as ``export.quick.known_sources`` has it."""

HOOKS = (
    "call_cond", "call_delegate", "call_getitem", "call_map", "call_operator", "call_scan", "call_submodule",
    "call_sym", "call_while", "inputs", "output", "placeholder", "ExportInterpreter", "ExportTracer",
)  # fmt: skip
"""The methods through which a pass may change calls while it traces."""

Call = Callable[["ExportPass", "GraphModule"], "PassResult"]
Table = Mapping["OpOverload[..., object]", object]


@contextmanager
def quick_lowering() -> Iterator[bool]:
    """Leave out what repeats while the block runs; yields False, and does nothing, beside packages not tried with."""
    if not are_known(TRIED_WITH, SOURCES):
        yield False
        return
    from executorch.exir.pass_base import _ExportPassBase
    from torch.export import ExportedProgram

    with (
        mock.patch.object(_ExportPassBase, "call", _kept_where_unchanged(_ExportPassBase.call)),
        mock.patch.object(ExportedProgram, "run_decompositions", _once(ExportedProgram.run_decompositions)),
        shared_history(),
    ):
        yield True


def _kept_where_unchanged(trace: Call) -> Call:
    """``trace`` for passes that rewrite the graph themselves, but only where they did since the last trace."""
    seen: list[object] = []

    def call(self: ExportPass, graph_module: GraphModule) -> PassResult:
        from torch.fx.passes.infra.pass_base import PassResult

        if seen and _only_traces(type(self)) and seen == _content(graph_module):
            return PassResult(graph_module, True)
        result = trace(self, graph_module)
        seen[:] = _content(result.graph_module)
        return result

    return call


def _only_traces(kind: type) -> bool:
    """Whether a pass leaves every call as it is when it traces: it has no hook of its own."""
    from executorch.exir.pass_base import ExportPass

    return all(getattr(kind, name) is getattr(ExportPass, name) for name in HOOKS)


def _content(graph_module: GraphModule) -> list[object]:
    """What the calls of a graph are; equal for the same nodes with the same arguments in the same order."""
    return [(node, node.op, node.target, node.args, node.kwargs) for node in graph_module.graph.nodes]


def _once(run: Callable[..., ExportedProgram]) -> Callable[..., ExportedProgram]:
    """``run_decompositions``, but for programs that it would give back as they are."""
    traced: list[ExportedProgram] = []

    def run_decompositions(self: ExportedProgram, table: Table | None = None) -> ExportedProgram:
        calls = [node.target for node in self.graph.nodes if node.op == "call_function"]
        functional = all(map(_is_functional, calls))
        # without a table it only makes calls functional; with one, a program that it has traced may have nothing left
        fresh = table is not None and len(table) == 0
        done = (
            table is not None and any(self is program for program in traced) and not any(map(table.__contains__, calls))
        )
        if functional and (fresh or done):
            return self
        traced[:] = [run(self, table)]
        return traced[0]

    return run_decompositions


def _is_functional(target: object) -> bool:
    """Whether a call of ``target`` writes into no tensor; one that runs another graph may."""
    from torch._ops import OpOverload

    return target is operator.getitem or (isinstance(target, OpOverload) and not target._schema.is_mutable)
