"""Which layer a converter failed at: converters name an operator or a line of somebody's source, users know modules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from export.program import Program, module_of

if TYPE_CHECKING:
    from torch.fx import Node

_MARK = "layer "
_MARKED = re.compile(_MARK + r'(?P<path>[^":\n]*)(?:", line |:)(?P<place>\d+)')
_OPERATOR = re.compile(r"\baten(?:::|\.)(\w+)")
MOST_LAYERS = 3  # chosen: one is enough to look at, and a message is one line


def mark(node: Node, place: int) -> None:
    """Let converters that tell the line of source tell ``node``, the call at ``place`` of its graph, instead."""
    node.meta["stack_trace"] = f'  File "{_MARK}{module_of(node)}", line {place}, in {node.name}\n    {node.target}\n'


def layers_in(program: Program, error: BaseException) -> str:
    """`` (in blocks1.0.attn: softmax)`` of the calls that ``error`` speaks of, by mark or operator; "" of none."""
    calls = list(program.module.graph.nodes)
    marked = [int(found["place"]) for found in _MARKED.finditer(str(error))]
    if marked:
        blamed = [calls[place] for place in marked if place < len(calls)]
    else:
        names = set(_OPERATOR.findall(str(error)))
        blamed = [node for node in calls if node.op == "call_function" and _operator(node) in names]
    told = list(dict.fromkeys(f"{module_of(node) or 'the network itself'}: {_operator(node)}" for node in blamed))
    more = f" and {len(told) - MOST_LAYERS} more" if len(told) > MOST_LAYERS else ""
    return f" (in {', '.join(told[:MOST_LAYERS])}{more})" if told else ""


def _operator(node: Node) -> str:
    """``softmax`` of ``aten.softmax.int``."""
    return str(node.target).removeprefix("aten.").partition(".")[0]
