"""Write what runtimes of an older bytecode do not have, or have with fewer arguments, with operators that they have.

Needs: ``gelu``, ``scaled_dot_product_attention`` without mask, dropout or causality, or ``pad`` with a constant, where
the first PyTorch Mobile of that bytecode cannot run the call.
Guarantees: the same function. Any ``optimize`` has this pass: it is no optimisation, the file would not run without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch._ops import OpOverload
from torch.fx import Node

from export.artifact import PassLog
from export.formats.ptl_file.releases import BY_BYTECODE, runs
from export.graph_editor import GraphEditor, Refusals
from export.patterns import aten, operand, operator_name, value_of


def run(editor: GraphEditor, bytecode: int) -> PassLog:
    """Rewrite every such call for the runtimes of ``bytecode``."""
    found, refusals = 0, Refusals()
    for node in editor.nodes(*REWRITES):
        if runs(BY_BYTECODE[bytecode], operator_name(node.target), bytecode, _given(node)):
            continue
        new = REWRITES[node.target](editor, node)
        if isinstance(new, str):
            refusals.add(node, new)
        else:
            editor.replace(node, new)
            found += 1
    name = __name__.rpartition(".")[2]
    return PassLog(name=name, rewrites=found, detail=f"{found} calls written otherwise", refused=refusals.rows())


def _gelu(editor: GraphEditor, node: Node) -> Node:
    """As x / 2 * (1 + erf(x / sqrt 2)), or x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))."""
    x = operand(node)
    if node.kwargs.get("approximate", "none") == "none":
        inner = editor.call(node, aten.mul.Scalar, x, math.sqrt(0.5))
        outer = aten.erf.default
    else:
        square = editor.call(node, aten.mul.Tensor, x, x)
        factor = editor.call(node, aten.add.Scalar, editor.call(node, aten.mul.Scalar, square, 0.044715), 1.0)
        scaled = editor.call(node, aten.mul.Tensor, factor, x)
        inner = editor.call(node, aten.mul.Scalar, scaled, math.sqrt(2 / math.pi))
        outer = aten.tanh.default
    share = editor.call(node, aten.add.Scalar, editor.call(node, outer, inner), 1.0)
    return editor.call(node, aten.mul.Scalar, editor.call(node, aten.mul.Tensor, share, x), 0.5)


def _attention(editor: GraphEditor, node: Node) -> Node | str:
    """As softmax(scale * q k^T) v."""
    given = _arguments(node)
    if given["attn_mask"] is not None or given["dropout_p"] or given["is_causal"] or given.get("enable_gqa"):
        return "it has a mask, dropout, causality or shared heads"
    query, key, value = (given[name] for name in ("query", "key", "value"))
    assert isinstance(query, Node)
    scale = given["scale"] if given["scale"] is not None else 1 / math.sqrt(value_of(query).shape[-1])
    turned = editor.call(node, aten.transpose.int, key, -2, -1)
    scores = editor.call(node, aten.matmul.default, editor.call(node, aten.mul.Scalar, query, scale), turned)
    return editor.call(node, aten.matmul.default, editor.call(node, aten.softmax.int, scores, -1), value)


def _pad(editor: GraphEditor, node: Node) -> Node | str:
    given = _arguments(node)
    if given["mode"] != "constant":
        return f"its mode is {given['mode']}"
    return editor.call(node, aten.constant_pad_nd.default, operand(node), given["pad"], given["value"] or 0)


REWRITES: dict[object, Callable[[GraphEditor, Node], Node | str]] = {
    aten.gelu.default: _gelu,
    aten.scaled_dot_product_attention.default: _attention,
    aten.pad.default: _pad,
}


def _arguments(node: Node) -> dict[str, object]:
    """Every argument by its name, those that are not given with their defaults."""
    assert isinstance(node.target, OpOverload)
    arguments = node.target._schema.arguments
    given = dict(zip((argument.name for argument in arguments), node.args, strict=False)) | node.kwargs
    return {argument.name: given.get(argument.name, argument.default_value) for argument in arguments}


def _given(node: Node) -> int:
    """How many operands a lite program gives it: up to the last that is not the default."""
    assert isinstance(node.target, OpOverload)
    values = _arguments(node).values()
    differs = [
        not argument.has_default_value() or value != argument.default_value
        for argument, value in zip(node.target._schema.arguments, values, strict=True)
    ]
    return max((place + 1 for place, differ in enumerate(differs) if differ), default=0)
