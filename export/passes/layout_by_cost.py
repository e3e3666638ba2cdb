"""Give every image the layout that costs least in a runtime with a blocked layout of its own (ONNX Runtime).

Needs: views as ``canonical_views`` and ``sink_views`` leave them.
Guarantees: the same function. An image is kept as (N, C, H, W), which the runtime turns into blocks of channels for
its convolutions and for what stands between them, or with its channels last, as linear layers and tokens have it: then
its pointwise convolutions are linear layers. A least cut over the whole graph (``export.min_cut``) decides, by the
costs below: whole chains through activations, sums, gates, pools and concatenations are weighed, not neighbours alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from torch import Tensor
from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.min_cut import Pair, Single, cheapest_labels
from export.passes import pointwise_as_linear, sink_views
from export.patterns import (
    are_fixed,
    argument,
    aten,
    axis_of,
    has_tensor,
    is_call,
    is_permute,
    mean_axes,
    only_user,
    operand,
    rank_of,
    shape_of,
    sizes_of,
    window_of,
)
from export.program import TO_NCHW, TO_NHWC

# Measured: ONNX Runtime 1.31, AVX-512, one thread, medians by operator over EdgeViT-XXS, MobileNetV3, MobileViT-XXS,
# EfficientNet-B0 and ConvNeXt, in nanoseconds per element.
REORDER_NS = 0.16
"""From or to blocks of channels, as (N, C, H, W) or with the channels last."""
TRANSPOSE_NS = 0.6
"""Between (N, C, H, W) and channels last, where no blocks are involved."""
ELEMENTWISE_NS = 0.15
"""An activation or a sum that the runtime computes inside of a convolution but not inside of a linear layer."""
CALL_NS = 4000.0
"""What one more call costs before its first element: a change of layout, or a linear layer with its reshapes."""
PRODUCT_NS = 0.00036
"""By how much a multiply-add of a linear layer takes longer than one of a blocked convolution: 4 % of 1 / 110 ns."""
NEVER = 1e12
BLOCK = 16
"""Channels in a block with AVX-512; 8 with AVX2."""

FUSED = frozenset((
    aten.relu.default, aten.relu6.default, aten.hardtanh.default, aten.clamp.default, aten.sigmoid.default,
    aten.tanh.default, aten.leaky_relu.default, aten.hardsigmoid.default, aten.hardswish.default,
))  # fmt: skip
"""Activations that the runtime computes inside of a convolution."""
BLOCKED = FUSED | {
    aten.conv2d.default, aten.max_pool2d.default, aten.avg_pool2d.default, aten.adaptive_avg_pool2d.default,
    aten.batch_norm.default, aten.mean.dim, aten.gelu.default, aten.silu.default, aten.upsample_nearest2d.vec,
}  # fmt: skip
"""What the runtime computes in blocks of channels, or inside of a neighbour that it does. Seen in its own graphs."""
SHUFFLES = (aten.cat.default, aten.slice.Tensor, aten.mean.dim)


def run(editor: GraphEditor) -> PassLog:
    """Choose, then turn what is to have its channels last."""
    images = [node for node in editor.nodes() if _is_image(node)]
    last = cheapest_labels(_singles(editor, images), _pairs(editor, images))
    turned = [node for node in images if last[node]]
    for node in images:
        if node not in turned and node.target is aten.mean.dim:
            editor.replace(node, editor.call(node, aten.adaptive_avg_pool2d.default, operand(node), [1, 1]))
        elif node not in turned and node.target in (*sink_views.UNARY, *sink_views.BINARY, *SHUFFLES):
            node.target = _Pinned(node.target)
    linears = sum(_turn(editor, node) for node in turned)
    sunk = sink_views.run(editor)
    for node in editor.nodes():
        if isinstance(node.target, _Pinned):
            node.target = node.target.target
    for node in editor.nodes(aten.reshape.default):
        _spell_as_tokens(editor, node)
    detail = f"{len(turned)} of {len(images)} images channels last, {linears} linear layers; {sunk.detail}"
    return PassLog(name="layout_by_cost", rewrites=len(turned), detail=detail)


class _Pinned:
    """A call through which no view moves; lives only inside of this pass."""

    def __init__(self, target: Callable[..., Tensor]) -> None:
        self.target = target
        self.__name__ = "pinned"
        self.__module__ = __name__

    def __call__(self, *args: object, **kwargs: object) -> Tensor:
        """What the call itself gives."""
        return self.target(*args, **kwargs)


def _is_image(node: Node) -> bool:
    """Whether ``node`` gives an image in either layout, or takes and gives one in the first alone."""
    if not has_tensor(node) or rank_of(node) != 4 or not are_fixed(shape_of(node)[1:]):
        return False
    return _is_spatial(node) or _may_turn(node)


def _is_spatial(node: Node) -> bool:
    pools = (aten.max_pool2d.default, aten.avg_pool2d.default, aten.adaptive_avg_pool2d.default)
    others = (aten.batch_norm.default, aten.upsample_nearest2d.vec, aten.conv_transpose2d.input)
    return node.target in (aten.conv2d.default, *pools, *others)


def _may_turn(node: Node) -> bool:
    """Whether ``_turn`` knows how to give the channels of ``node`` last."""
    if node.target in sink_views.UNARY:
        return True
    if node.target in sink_views.BINARY:
        return len(node.args) == 2 and not node.kwargs
    if node.target is aten.cat.default:
        return all(has_tensor(part) and rank_of(part) == 4 for part in node.all_input_nodes)
    if node.target is aten.mean.dim:
        return sorted(mean_axes(node) or ()) == [2, 3] and bool(argument(node, 2, "keepdim", False))
    return node.target is aten.slice.Tensor and not node.kwargs


def _singles(editor: GraphEditor, images: list[Node]) -> Iterator[Single[Node]]:
    """What each image costs by itself, in ns: first as (N, C, H, W), then with its channels last."""
    for node in images:
        cost = 0.0
        if node.target is aten.conv2d.default and _is_pointwise(editor, node):
            cost = CALL_NS + PRODUCT_NS * _elements(node) * shape_of(operand(node))[1]
        elif _is_spatial(node):
            cost = NEVER
        elif _is_inside_convolution(node):
            cost = ELEMENTWISE_NS * _elements(node)
        yield Single(node, 0.0, cost)


def _pairs(editor: GraphEditor, images: list[Node]) -> Iterator[Pair[Node]]:
    """What it costs, in ns, to bring an image to whoever reads it."""
    known = set(images)
    for node in images:
        for source in node.all_input_nodes:
            if source in known:
                yield _pair(source, node)
            elif editor.constant(source) is None and has_tensor(source) and _has_positions(source):
                yield from _ends(node, node, source, _comes_last(source))
        for user in node.users:
            if user not in known and _has_positions(node):
                yield from _ends(node, user, node, _goes_last(user))


def _pair(source: Node, user: Node) -> Pair[Node]:
    """Between two images. Where both are (N, C, H, W), the runtime may leave its blocks as it would without us."""
    leaves, enters = (_moved(source, blocked=_stays_blocked(node)) for node in (source, user))
    return Pair(source, user, 0.0, leaves, enters, 0.0)


def _ends(node: Node, user: Node, source: Node, last: bool | None) -> Iterator[Pair[Node]]:
    """Between an image and what is none and has its channels ``last``, first, or (None) does not care."""
    if last is None:
        return
    fixed = user if user is not node else source
    # behind what is no image there are no blocks yet, and only for a convolution or the like does the runtime make some
    blocked = _stays_blocked(node) if user is not node else _is_spatial(node)
    off, on = (_moved(source, blocked=blocked), 0.0) if last else (0.0, _moved(source, blocked=False))
    # the neighbour's own label is free of costs, so only the image's counts
    yield Pair(fixed, node, off, on, off, on)


def _moved(image: Node, *, blocked: bool) -> float:
    """What another layout of ``image`` costs, in ns, with blocks on one of its sides or without."""
    return CALL_NS + (REORDER_NS if blocked else TRANSPOSE_NS) * _elements(image)


def _comes_last(source: Node) -> bool | None:
    """Whether ``source``, which is no image, is one with its channels last but for a permute."""
    if source.op == "placeholder":
        return None
    if is_call(source, aten.reshape.default):
        return is_permute(source.args[0], (0, 2, 1))
    return is_permute(source, TO_NCHW)


def _goes_last(user: Node) -> bool | None:
    """Whether ``user``, which is no image, wants the channels last."""
    if is_call(user, aten.reshape.default):
        same = rank_of(user) == 3 and shape_of(user)[1] == shape_of(operand(user))[1]
        return same and all(is_permute(reader, (0, 2, 1)) for reader in user.users)
    return is_permute(user, TO_NHWC)


def _stays_blocked(node: Node) -> bool:
    if node.target in sink_views.BINARY:
        shapes = [shape_of(arg) for arg in node.all_input_nodes]
        return len(shapes) == 2 and shapes[0] == shapes[1]
    if node.target is aten.cat.default:
        aligned = all(shape_of(part)[1] % BLOCK == 0 for part in node.all_input_nodes)
        return aligned and axis_of_cat(node) == 1
    return node.target in BLOCKED


def axis_of_cat(node: Node) -> int:
    """The axis, counted from 0, along which ``cat`` joins images."""
    axis = argument(node, 1, "dim", 0)
    assert isinstance(axis, int)
    return axis % rank_of(node)


def _is_inside_convolution(node: Node) -> bool:
    """Whether the runtime computes ``node`` inside of a convolution in front of it."""
    if node.target in FUSED:
        return is_call(node.args[0], aten.conv2d.default) and only_user(operand(node)) is node
    if node.target is not aten.add.Tensor or not _stays_blocked(node):
        return False
    return any(is_call(side, aten.conv2d.default) and only_user(side) is node for side in node.args)


def _is_pointwise(editor: GraphEditor, node: Node) -> bool:
    """Whether ``node`` can be a linear layer with constant weights, over more than one position."""
    window, kernel = window_of(node), shape_of(operand(node, 1))[2:]
    plain = kernel == (1, 1) and window.groups == 1 and window.stride == (1, 1) and window.padding == (0, 0)
    return plain and _has_positions(node) and editor.weights(node) is not None


def _has_positions(node: Node) -> bool:
    """Whether ``node`` holds more than one position; with one, both layouts are the same."""
    shape = shape_of(node)
    return len(shape) != 4 or math.prod(shape[2:]) != 1


def _elements(node: Node) -> int:
    return math.prod(shape_of(node)[1:])


def _turn(editor: GraphEditor, node: Node) -> bool:
    """Give the channels of ``node`` last, and permute them back for its readers; whether it is a linear layer now."""
    if node.target is aten.conv2d.default:
        return pointwise_as_linear.rewrite(editor, node) is True
    assert callable(node.target)
    args: tuple[object, ...]
    if node.target is aten.cat.default:
        parts = [editor.permute(node, part, TO_NHWC) for part in _parts(node)]
        args = (parts, TO_NCHW[axis_of_cat(node)])
    elif node.target is aten.mean.dim:
        args = (editor.permute(node, operand(node), TO_NHWC), [1, 2], True)
    elif node.target is aten.slice.Tensor:
        args = (editor.permute(node, operand(node), TO_NHWC), TO_NCHW[axis_of(node)], *node.args[2:])
    elif node.target in sink_views.UNARY:
        args = (editor.permute(node, operand(node), TO_NHWC), *node.args[1:])
    else:
        args = tuple(_side(editor, node, side) for side in node.args)
    new = editor.call(node, _Pinned(node.target), *args, kwargs=node.kwargs)
    editor.replace(node, editor.permute(node, new, TO_NCHW))
    return False


def _spell_as_tokens(editor: GraphEditor, node: Node) -> None:
    """Put the permute of an image that becomes tokens right behind it: the runtime takes the two together."""
    if rank_of(operand(node)) != 4 or rank_of(node) != 3 or not _goes_last(node) or sizes_of(node) is None:
        return
    for reader in list(node.users):
        sizes = sizes_of(reader)
        assert sizes is not None
        last = editor.permute(reader, operand(node), TO_NHWC)
        editor.replace(reader, editor.reshape(reader, last, sizes))


def _parts(node: Node) -> list[Node]:
    parts = node.args[0]
    assert isinstance(parts, (list, tuple))
    return [part for part in parts if isinstance(part, Node)]


def _side(editor: GraphEditor, node: Node, side: object) -> object:
    """The operand ``side`` of an elementwise call with its channels last."""
    tensor = editor.constant(side)
    if tensor is not None:
        if tensor.dim() == 0:
            return side
        full = tensor.reshape((1,) * (4 - tensor.dim()) + tuple(tensor.shape))
        return editor.add_constant(full.permute(TO_NHWC), node, "last")
    if not isinstance(side, Node):
        return side
    missing = 4 - rank_of(side)
    if missing:
        side = editor.reshape(node, side, [1] * missing + list(shape_of(side)))
    return editor.permute(node, side, TO_NHWC)
