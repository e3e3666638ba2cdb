"""What a captured graph holds that no artifact can: random numbers, numbers out of tensors, half precision, state."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

from edgevit.errors import ExportError
from export.eager.failures import behind, place_near
from export.functional.rewrite import functionalise, writes_outside
from export.patterns import aten

_READ_OUT = (aten.item.default, aten._local_scalar_dense.default)
_OFF = {"train": False, "training": False, "dropout": 0, "dropout_p": 0, "p": 0}
"""Arguments with which a call that may draw random numbers draws none."""


def refuse_what_no_file_holds(module: GraphModule, name: str) -> None:
    """Refuse the first call of a graph that cannot be the same in an artifact.

    Raises:
        ExportError: It names the call, the reason and the line of the network.
    """
    for node in module.graph.nodes:
        if node.op == "call_function" and (found := _problem(node)) is not None:
            why, hint = found
            what = f"cannot capture {name}: {_name(node)} {why}"
            raise ExportError(behind(what, place_near(node)), hint=hint)


def without_state(module: GraphModule, name: str) -> None:
    """Let a graph write into nothing that is not its own: its inputs, and what it keeps from run to run.

    Writing into an input, or into a buffer that is written before it is read, changes no answer: such calls get their
    form without writing.

    Raises:
        ExportError: The network reads what an earlier run of it left in a buffer or parameter.
    """
    outside = writes_outside(module)
    if not outside:
        return
    calls = {call: (str(kept.target), place_near(call)) for call, kept in outside.items() if kept.op == "get_attr"}
    _, stay = functionalise(module)
    if not stay:
        module.graph.eliminate_dead_code()
        module.recompile()
    left = {str(node.target) for node in module.graph.nodes if node.op == "get_attr"}
    for kept, place in calls.values():
        if kept in left:
            raise ExportError(
                behind(f"cannot capture {name}: it writes into '{kept}' in its forward, and reads it", place),
                hint=f"an artifact keeps nothing from run to run: take '{kept}' as an input and return it",
            )


def refuse_idle(module: GraphModule, name: str) -> None:
    """Refuse a graph without anything to compute: the formats have no file for that, or none that could be judged.

    Raises:
        ExportError: No answer comes from an input, or each is an input as it is.
    """
    inputs = module.graph.find_nodes(op="placeholder")
    names = ", ".join(f"'{node.name}'" for node in inputs)
    if not any(node.op == "call_function" for node in module.graph.nodes):
        raise ExportError(f"{name} computes nothing: it returns its input {names} as it is, or what it holds")
    if not any(node.users for node in inputs):
        raise ExportError(
            f"{name} does not read its input {names}: it gives one answer to all",
            hint="an artifact is for what depends on an input: keep the answer as data",
        )


def _problem(node: Node) -> tuple[str, str | None] | None:
    """Why a call cannot be in an artifact and what to do, or None."""
    if node.target in _READ_OUT:
        return "reads a number out of a tensor", "leave it a tensor of no axes: files keep the number of one input"
    if node.target is torch.ops.higher_order.wrap_with_autocast:
        return f"computes under autocast in {str(node.args[1]).removeprefix('torch.')}", _SINGLE
    value = node.meta.get("val")
    values = [part for part in (value if isinstance(value, tuple | list) else [value]) if isinstance(part, Tensor)]
    half = [part.dtype for part in values if part.dtype.is_floating_point and part.dtype.itemsize < 4]
    if half:
        return f"computes in {str(half[0]).removeprefix('torch.')}", _SINGLE
    if any(not isinstance(size, int) for part in values for size in part.shape):
        return "gives a shape that depends on the values of the input", "give it a fixed size: mask, or torch.topk"
    if _is_random(node):
        return "draws random numbers", "remove it, or draw once and keep the numbers as a buffer"
    return None


_SINGLE = "an artifact is float32 throughout, and parity is judged by that: remove the cast, or leave autocast"


def _is_random(node: Node) -> bool:
    if not isinstance(node.target, OpOverload) or torch.Tag.nondeterministic_seeded not in node.target.tags:
        return False
    for position, spec in enumerate(node.target._schema.arguments):
        default = spec.default_value if spec.has_default_value() else None
        given = node.args[position] if position < len(node.args) else node.kwargs.get(spec.name, default)
        if spec.name in _OFF and given == _OFF[spec.name]:
            return False
    return bool(node.users)


def _name(node: Node) -> str:
    schema = getattr(node.target, "_schema", None)
    return str(node.target) if schema is None else str(schema.name)
