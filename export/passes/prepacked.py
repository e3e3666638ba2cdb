"""Spell products with constant weights so that the writer can have them packed when the file is loaded.

Needs: ``linear`` on two axes or more, ``conv2d`` or ``conv_transpose2d`` of one group on images with a batch axis,
float32, with constant weights, as XNNPACK takes them (``available`` and ``usable`` in
``aten/src/ATen/native/xnnpack``).
Guarantees: the same function. ``relu``, ``hardtanh`` and ``clamp`` behind a product, also behind views, become its
limits. Any ``optimize`` has this pass where prepacked weights are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional

from export.artifact import PassLog
from export.formats.ptl_file.prepacked import NAME, NAMESPACE, SCHEMA, Packed
from export.graph_editor import GraphEditor, Refusals
from export.patterns import (
    argument,
    aten,
    is_call,
    operand,
    pair,
    rank_of,
    value_of,
    window_of,
)
from export.quantization.clamps import clamp_behind, limits_of


def compute(x: Tensor, weight: Tensor, bias: Tensor | None, product: str) -> Tensor:
    """What the operator stands for: the product, then its limits."""
    packed = Packed.from_json(product, origin="a packed product")
    stride, padding, dilation, groups = packed.stride, packed.padding, packed.dilation, packed.groups
    if packed.kind == "linear":
        result = functional.linear(x, weight, bias)
    elif packed.kind == "conv2d":
        result = functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
    else:
        extra = packed.output_padding
        result = functional.conv_transpose2d(x, weight, bias, stride, padding, extra, groups, dilation)
    return result if packed.least is packed.most is None else result.clamp(packed.least, packed.most)


_LIBRARY = torch.library.Library(NAMESPACE, "DEF")  # type: ignore[no-untyped-call]
_LIBRARY.define(SCHEMA)  # type: ignore[no-untyped-call]
_LIBRARY.impl(NAME, compute, "CompositeImplicitAutograd")  # type: ignore[no-untyped-call]
CALL = getattr(getattr(torch.ops, NAMESPACE), NAME).default
_ROW_MAJOR = (CALL, aten.layer_norm.default)
_ELEMENTWISE = (
    aten.gelu.default, aten.relu.default, aten.silu.default, aten.hardswish.default, aten.sigmoid.default,
)  # fmt: skip


def run(editor: GraphEditor) -> PassLog:
    """Spell every product that XNNPACK takes."""
    found, limits, refusals = 0, 0, Refusals()
    for node in editor.nodes(*_PACKED):
        packed = _PACKED[node.target](node)
        weights = editor.weights(node)
        if isinstance(packed, str) or weights is None:
            refusals.add(node, packed if isinstance(packed, str) else "its weights are computed")
            continue
        clamp = clamp_behind(node)
        if clamp is not None:
            least, most = limits_of(clamp)
            packed = msgspec.structs.replace(packed, least=least, most=most)
            limits += 1
        source = _row_major(editor, node) if packed.kind == "linear" else operand(node)
        text = packed.to_json()
        new = editor.call(node, CALL, source, operand(node, 1), argument(node, 2, "bias"), text)
        editor.replace(node, new)
        if clamp is not None:
            editor.replace(clamp, operand(clamp))
        found += 1
    detail = f"{found} products with weights to pack, {limits} of them with an activation"
    return PassLog(name="prepacked", rewrites=found, detail=detail, refused=refusals.rows())


def _linear(node: Node) -> Packed | str:
    if value_of(node).dtype != torch.float32:
        return "it is not in float32"
    return Packed(kind="linear") if rank_of(operand(node)) > 1 else "its operand has one axis"


def _conv2d(node: Node) -> Packed | str:
    if value_of(node).dtype != torch.float32 or rank_of(operand(node)) != 4:
        return "its image is not in float32, or has no batch axis"
    window = window_of(node)
    return Packed(
        kind="conv2d",
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        groups=window.groups,
    )


def _conv_transpose2d(node: Node) -> Packed | str:
    if value_of(node).dtype != torch.float32 or rank_of(operand(node)) != 4:
        return "its image is not in float32, or has no batch axis"
    if argument(node, 6, "groups", 1) != 1:
        return "it has groups, which releases of PyTorch Mobile pack in different ways"
    return Packed(
        kind="conv2d_transpose",
        stride=pair(argument(node, 3, "stride", 1)),
        padding=pair(argument(node, 4, "padding", 0)),
        output_padding=pair(argument(node, 5, "output_padding", 0)),
        dilation=pair(argument(node, 7, "dilation", 1)),
    )


_PACKED: Mapping[object, Callable[[Node], Packed | str]] = {
    aten.linear.default: _linear,
    aten.conv2d.default: _conv2d,
    aten.conv_transpose2d.input: _conv_transpose2d,
}


def _row_major(editor: GraphEditor, node: Node) -> Node:
    """The operand of a linear layer with its last axis innermost.

    XNNPACK's linear layer reads memory as it lies, and torch hands it tensors of four and five axes in whichever layout
    their strides suggest: one that looks like an image with its channels last would be read along the wrong axis.
    """
    source = operand(node)
    if rank_of(source) not in (4, 5) or _is_row_major(source):
        return source
    return editor.call(node, aten.contiguous.default, source)


def _is_row_major(node: Node) -> bool:
    while is_call(node, *_ELEMENTWISE):
        node = operand(node)
    if is_call(node, aten.reshape.default):
        return _is_row_major(operand(node))
    return is_call(node, *_ROW_MAJOR) and not (node.target is CALL and rank_of(operand(node, 1)) != 2)
