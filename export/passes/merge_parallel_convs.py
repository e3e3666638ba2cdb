"""One convolution for a sum of convolutions of one image: the branches of RepVGG, MobileOne and RepViT in training.

Needs: ``add`` of two ``conv2d`` with constant weights that read the same image with the same stride, dilation 1 and
groups, whose results nobody else uses; the smaller kernel lies centred in the larger one (its padding is smaller by as
much as its reach). Or ``add`` of one such convolution and the ``batch_norm`` of its image, of stride 1 and its shape.
Guarantees: the same function: kernels add up, the smaller one filled with zeros, a batch norm as one at the centre.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional

from export.graph_editor import GraphEditor, each_call
from export.passes.fold_batch_norm import affine_of
from export.patterns import Window, as_double, aten, is_call, only_user, operand, shape_of, window_of


@each_call(aten.add.Tensor, done="sums of branches as one convolution")
def run(editor: GraphEditor, node: Node) -> bool | str:
    """Merge every such pair; a third branch meets their convolution in the next sum."""
    if len(node.args) != 2 or node.kwargs:
        return False
    convs = [side for side in node.args if is_call(side, aten.conv2d.default) and only_user(side) is node]
    if not convs:
        return False
    first = max(convs, key=lambda conv: shape_of(operand(conv, 1))[2:])
    other = node.args[1] if node.args[0] is first else node.args[0]
    weights = editor.weights(first)
    if (
        not is_call(other, aten.conv2d.default, aten.batch_norm.default)
        or other.args[:1] != first.args[:1]
        or len(shape_of(first)) != 4
        or only_user(other) is not node
    ):
        return False
    branch = _as_kernel(editor, first, other)
    if weights is None or branch is None:
        return "a branch has computed weights, or other positions"
    weight, bias = as_double(weights[0]), weights[1]
    shifts = [as_double(shift) for shift in (bias, branch[1]) if shift is not None]
    total = torch.stack(shifts).sum(0) if shifts else None
    merged = editor.with_weights(first, weight + branch[0], total)
    editor.replace(node, merged)
    return True


def _as_kernel(editor: GraphEditor, first: Node, other: Node) -> tuple[Tensor, Tensor | None] | None:
    """Kernel, in the shape of that of ``first``, and bias of the branch ``other``; None if it cannot be one."""
    shape, window = shape_of(operand(first, 1)), window_of(first)
    if window.dilation != (1, 1) or shape_of(first) != shape_of(other):
        return None
    if is_call(other, aten.conv2d.default):
        weights = editor.weights(other)
        return None if weights is None else _centred(weights, shape, window, window_of(other))
    affine = affine_of(editor, other) if is_call(other, aten.batch_norm.default) else None
    same = window.stride == (1, 1) and window.padding == (shape[2] // 2, shape[3] // 2)
    if (
        affine is None
        or not same
        or shape[2] % 2 == 0
        or shape[3] % 2 == 0
        or shape_of(first) != shape_of(operand(first))
    ):
        return None
    kernel = torch.zeros(shape, dtype=torch.float64)
    channels = torch.arange(shape[0])
    kernel[channels, channels % shape[1], shape[2] // 2, shape[3] // 2] = affine[0]
    return kernel, affine[1]


def _centred(
    weights: tuple[Tensor, Tensor | None], shape: tuple[int, ...], window: Window, own: Window
) -> tuple[Tensor, Tensor | None] | None:
    """The kernel of another convolution, which moves by ``own``, in the middle of one of ``shape`` that moves so."""
    weight = as_double(weights[0])
    if own._replace(padding=window.padding) != window:
        return None
    margins = [(shape[axis + 2] - weight.shape[axis + 2], window.padding[axis] - own.padding[axis]) for axis in (0, 1)]
    if any(more != 2 * moved or moved < 0 for more, moved in margins):
        return None
    rows, columns = (moved for _, moved in margins)
    return functional.pad(weight, (columns, columns, rows, rows)), weights[1]
