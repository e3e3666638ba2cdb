"""Move ``permute`` and ``reshape`` behind the calls that do not care, so that they meet and cancel.

Needs: views as ``canonical_views`` leaves them.
Guarantees: the same values; the number of arithmetic operations is the same. ``permute`` moves behind elementwise
calls, slices, means, concatenations, and calls on the last axis when that axis stays last; ``reshape`` moves behind
those on the last axis when it keeps it. Neighbours merge; identities vanish; a ``reshape`` behind a ``permute`` moves
in front of it when it treats groups of axes that the permutation keeps together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.patterns import (
    VIEWS,
    are_fixed,
    argument,
    aten,
    axes_of,
    axis_of,
    has_tensor,
    ints,
    is_call,
    is_over_last_axis,
    is_permute,
    mean_axes,
    operand,
    rank_of,
    shape_of,
    sizes_of,
)

MOST_SWEEPS = 8
"""Chosen, because a deep chain sinks in two or three sweeps: a bound for graphs that never come to rest."""
UNARY = frozenset(
    (
        aten.gelu.default, aten.relu.default, aten.relu_.default, aten.silu.default, aten.silu_.default,
        aten.sigmoid.default, aten.tanh.default, aten.hardswish.default, aten.hardswish_.default,
        aten.hardsigmoid.default, aten.hardtanh.default, aten.hardtanh_.default, aten.leaky_relu.default,
        aten.elu.default, aten.exp.default, aten.erf.default, aten.neg.default, aten.abs.default,
        aten.sqrt.default, aten.rsqrt.default, aten.square.default, aten.pow.Tensor_Scalar, aten.clamp.default,
        aten.relu6.default, aten.mish.default, aten.softplus.default, aten.rsub.Scalar, aten.reciprocal.default,
        aten.log.default, aten.sin.default, aten.cos.default, aten.sign.default, aten.floor.default, aten.selu.default,
    )
)  # fmt: skip
BINARY = frozenset((aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.add_.Tensor))


def run(editor: GraphEditor) -> PassLog:
    """Sink until nothing moves any more."""
    before = _views(editor)
    for _ in range(MOST_SWEEPS):
        moved = sum(_step(editor, node) for node in editor.nodes() if has_tensor(node))
        editor.sweep()
        if not moved:
            break
    after = _views(editor)
    return PassLog(name="sink_views", rewrites=max(before - after, 0), detail=f"{before} views before, {after} after")


def axis_groups(source: tuple[int, ...], target: tuple[int, ...]) -> list[tuple[list[int], list[int]]] | None:
    """The finest split of a reshape into independent ones: pairs of (source axes, target axes).

    Axes of size 1 go to the group on their left. None if a size is free where it would have to be compared.
    """
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(source) or j < len(target):
        left, right = _next_group(source, target, i, j)
        if left is None or right is None:
            return None
        groups.append((list(range(i, left)), list(range(j, right))))
        i, j = left, right
    return groups


def _next_group(
    source: tuple[int, ...], target: tuple[int, ...], i: int, j: int
) -> tuple[int, int] | tuple[None, None]:
    a, b = min(i + 1, len(source)), min(j + 1, len(target))
    while (left := math.prod(source[i:a])) != (right := math.prod(target[j:b])):
        if left < right and a < len(source):
            a += 1
        elif right < left and b < len(target):
            b += 1
        else:
            return None, None
    while a < len(source) and source[a] == 1 and not (b < len(target) and target[b] == 1):
        a += 1
    while b < len(target) and target[b] == 1 and not (a < len(source) and source[a] == 1):
        b += 1
    return a, b


def _step(editor: GraphEditor, node: Node) -> bool:
    if node.target is aten.permute.default:
        return _permute(editor, node)
    if node.target is aten.reshape.default:
        return _reshape(editor, node)
    rules: tuple[Callable[[GraphEditor, Node], bool], ...] = (_elementwise, _slice, _mean, _cat, _last_axis)
    return any(rule(editor, node) for rule in rules)


def _permute(editor: GraphEditor, node: Node) -> bool:
    source, axes = operand(node), axes_of(node)
    if _in_order(axes):
        editor.replace(node, source)
        return True
    if not is_call(source, aten.permute.default):
        return False
    inner = axes_of(source)
    editor.replace(node, _permuted(editor, operand(source), [inner[axis] for axis in axes], node))
    return True


def _reshape(editor: GraphEditor, node: Node) -> bool:
    source = operand(node)
    if shape_of(source) == shape_of(node):
        editor.replace(node, source)
        return True
    sizes = sizes_of(node)
    if sizes is None:
        return False
    if is_call(source, aten.reshape.default):
        editor.replace(node, editor.reshape(node, operand(source), sizes))
        return True
    return is_call(source, aten.permute.default) and _reshape_behind_permute(editor, node, source)


def _reshape_behind_permute(editor: GraphEditor, node: Node, permute: Node) -> bool:
    axes = axes_of(permute)
    groups = axis_groups(shape_of(permute), shape_of(node))
    if groups is None:
        return False
    blocks = [[axes[axis] for axis in left] for left, _ in groups]
    if not all(block and block == list(range(block[0], block[0] + len(block))) for block in blocks):
        return False
    order = sorted(range(len(groups)), key=lambda index: blocks[index][0])
    inner_axes = [axis for index in order for axis in groups[index][1]]
    sizes = [shape_of(node)[axis] for axis in inner_axes]
    if not are_fixed(sizes[1:]) or 0 in sizes:
        return False
    reshaped = editor.reshape(node, operand(permute), [-1, *sizes[1:]])
    positions = [inner_axes.index(axis) for axis in range(len(inner_axes))]
    editor.replace(node, _permuted(editor, reshaped, positions, node))
    return True


def _elementwise(editor: GraphEditor, node: Node) -> bool:
    if node.target in UNARY:
        view = node.args[0]
        return is_call(view, *VIEWS) and _behind(editor, node, view, (operand(view), *node.args[1:]))
    if node.target not in BINARY or len(node.args) != 2:
        return False
    return _binary_permutes(editor, node) or _binary_reshapes(editor, node)


def _binary_permutes(editor: GraphEditor, node: Node) -> bool:
    first = next((arg for arg in node.args if is_call(arg, aten.permute.default)), None)
    if not isinstance(first, Node) or rank_of(node) != len(axes_of(first)):
        return False
    args = tuple(_before_permute(editor, node, arg, axes_of(first)) for arg in node.args)
    return None not in args and _behind(editor, node, first, args)


def _before_permute(editor: GraphEditor, node: Node, side: object, axes: tuple[int, ...]) -> object:
    """What the operand ``side`` has to be for the same result in front of a permutation; None if it cannot be told."""
    if isinstance(side, (int, float)):
        return side
    if is_call(side, aten.permute.default):
        return operand(side) if is_permute(side, axes) else None
    tensor = editor.constant(side)
    if tensor is None or tensor.dim() > len(axes):
        return None
    if tensor.dim() == 0:
        return side
    full = tensor.reshape((1,) * (len(axes) - tensor.dim()) + tuple(tensor.shape))
    inverse = [axes.index(axis) for axis in range(len(axes))]
    return editor.add_constant(full.permute(inverse), node, "permuted")


def _binary_reshapes(editor: GraphEditor, node: Node) -> bool:
    first = next((arg for arg in node.args if is_call(arg, aten.reshape.default)), None)
    if not isinstance(first, Node) or shape_of(first) != shape_of(node):
        return False
    inner, outer = shape_of(operand(first)), shape_of(first)
    args: list[object] = []
    for side in node.args:
        if is_call(side, aten.reshape.default) and shape_of(side) == outer and shape_of(operand(side)) == inner:
            args.append(operand(side))
        elif isinstance(side, (int, float)) or (_is_vector(editor, side) and inner[-1:] == outer[-1:]):
            args.append(side)
        else:
            return False
    return _behind(editor, node, first, tuple(args))


def _is_vector(editor: GraphEditor, side: object) -> bool:
    """Whether ``side`` is a constant that has the last axis alone, or none."""
    tensor = editor.constant(side)
    return tensor is not None and tensor.dim() <= 1


def _slice(editor: GraphEditor, node: Node) -> bool:
    if node.target is not aten.slice.Tensor or not is_call(node.args[0], aten.permute.default):
        return False
    permute = operand(node)
    bounds = [argument(node, *spelled) for spelled in ((2, "start"), (3, "end"))]
    args = (operand(permute), axes_of(permute)[axis_of(node)], *bounds, argument(node, 4, "step", 1))
    return _behind(editor, node, permute, args)


def _mean(editor: GraphEditor, node: Node) -> bool:
    if node.target is not aten.mean.dim or not is_call(node.args[0], *VIEWS):
        return False
    view, reduced = operand(node), mean_axes(node)
    keep = bool(argument(node, 2, "keepdim", False))
    if reduced is None:
        return False
    if view.target is aten.reshape.default:
        return not keep and _mean_behind_reshape(editor, node, view, reduced)
    axes = axes_of(view)
    new = editor.call(node, aten.mean.dim, operand(view), [axes[axis] for axis in reduced], keep)
    kept = axes if keep else [axis for position, axis in enumerate(axes) if position not in reduced]
    ranks = sorted(kept)
    editor.replace(node, _permuted(editor, new, [ranks.index(axis) for axis in kept], node))
    return True


def _mean_behind_reshape(editor: GraphEditor, node: Node, view: Node, reduced: list[int]) -> bool:
    """Mean over merged axes is the mean over all of them; nothing else may have been reshaped."""
    groups = axis_groups(shape_of(operand(view)), shape_of(view))
    if groups is None:
        return False
    axes: list[int] = []
    for left, right in groups:
        if set(right) & set(reduced):
            if not set(right) <= set(reduced):
                return False
            axes += left
        elif len(left) != 1 or len(right) != 1:
            return False
    editor.replace(node, editor.call(node, aten.mean.dim, operand(view), axes, False))
    return True


def _cat(editor: GraphEditor, node: Node) -> bool:
    parts = node.args[0]
    if node.target is not aten.cat.default or not isinstance(parts, (list, tuple)):
        return False
    permutes = [part for part in parts if is_call(part, aten.permute.default)]
    if not permutes or len(permutes) != len(parts):
        return False
    axes, (axis,) = axes_of(permutes[0]), ints(argument(node, 1, "dim", 0))
    if any(axes_of(part) != axes for part in permutes):
        return False
    return _behind(editor, node, permutes[0], ([operand(part) for part in permutes], axes[axis]))


def _last_axis(editor: GraphEditor, node: Node) -> bool:
    """Linear, layer norm and softmax look at the last axis only."""
    if node.target not in (aten.linear.default, aten.layer_norm.default, aten.softmax.int):
        return False
    view = node.args[0]
    if not is_call(view, *VIEWS):
        return False
    inner, outer = shape_of(operand(view)), shape_of(view)
    if node.target is aten.layer_norm.default and not is_over_last_axis(node):
        return False
    if node.target is aten.softmax.int and axis_of(node) != len(outer) - 1:
        return False
    if view.target is aten.permute.default:
        if axes_of(view)[-1] != len(outer) - 1:
            return False
    elif not inner or inner[-1] != outer[-1] or len(inner) < 2:
        return False
    rest = (-1, *node.args[2:]) if node.target is aten.softmax.int else node.args[1:]
    return _behind(editor, node, view, (operand(view), *rest))


def _behind(editor: GraphEditor, node: Node, view: Node, args: tuple[object, ...]) -> bool:
    """Replace ``node`` by the same call on ``args`` with ``view`` behind it."""
    sizes = sizes_of(node)
    if node.kwargs or (view.target is aten.reshape.default and sizes is None):
        return False
    new = editor.repeat(node, *args)
    if view.target is aten.permute.default:
        new = _permuted(editor, new, axes_of(view), node, like=view)
    elif sizes is not None:
        new = editor.reshape(node, new, sizes, like=view)
    editor.replace(node, new)
    return True


def _permuted(editor: GraphEditor, source: Node, axes: Sequence[int], node: Node, like: Node | None = None) -> Node:
    return source if _in_order(axes) else editor.permute(node, source, axes, like=like)


def _in_order(axes: Sequence[int]) -> bool:
    return list(axes) == sorted(axes)


def _views(editor: GraphEditor) -> int:
    return sum(1 for _ in editor.nodes(*VIEWS))
