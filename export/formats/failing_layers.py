"""Which layer a converter failed at: converters name an operator or a line of somebody's source, users know modules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from export.artifact import MODULES_NAMED
from export.eager.failures import place_near
from export.program import Program, module_of

if TYPE_CHECKING:
    from torch.fx import Node

_MARK = "layer "
_MARKED = re.compile(_MARK + r'(?P<path>[^":\n]*)(?:", line |:)(?P<place>\d+)')
_OPERATOR = re.compile(r"\baten(?:::|\.)(\w+)")  # aten::linalg_inv, torch._ops.aten.linalg_inv.default


def mark(node: Node, place: int) -> None:
    """Let converters that tell the line of source tell ``node``, the call at ``place`` of its graph, instead."""
    node.meta["stack_trace"] = f'  File "{_MARK}{module_of(node)}", line {place}, in {node.name}\n    {node.target}\n'


def layers_in(program: Program, error: BaseException) -> str:
    """`` (in blocks1.0.attn: softmax)`` of the calls that ``error`` speaks of, by mark or operator; "" of none."""
    calls = list(program.module.graph.nodes)
    marked = [int(found["place"]) for found in _MARKED.finditer(str(error))]
    named = set(_OPERATOR.findall(str(error)))
    blamed = [calls[place] for place in marked if place < len(calls)] if marked else _called(calls, named)
    told = list(dict.fromkeys(f"{_where(node)}: {_operator(node)}" for node in blamed))
    more = f" and {len(told) - MODULES_NAMED} more" if len(told) > MODULES_NAMED else ""
    return f" (in {', '.join(told[:MODULES_NAMED])}{more})" if told else ""


def _called(calls: list[Node], named: set[str]) -> list[Node]:
    """The calls of what is ``named``: a converter may name what it made of ``linalg_inv``, as ``linalg_inv_ex``."""
    words = [f"{name.strip('_')}_" for name in named]
    return [
        node
        for node in calls
        if node.op == "call_function" and any(word.startswith(f"{_operator(node).strip('_')}_") for word in words)
    ]


def _where(node: Node) -> str:
    """The module of a call; of one that stands in no module its line in the network, if that is known."""
    return module_of(node) or place_near(node) or "the network itself"


def _operator(node: Node) -> str:
    """``softmax`` of ``aten.softmax.int``."""
    return str(node.target).removeprefix("aten.").partition(".")[0]
