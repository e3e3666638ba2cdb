"""Move ``permute`` and ``reshape`` behind the calls that do not care, so that they meet and cancel.

Needs: views as ``canonical_views`` leaves them.
Guarantees: the same values; the number of arithmetic operations is the same. ``permute`` moves behind elementwise
calls, slices, means, concatenations, and calls on the last axis when that axis stays last; ``reshape`` moves behind
those on the last axis when it keeps it. Neighbours merge; identities vanish; a ``reshape`` behind a ``permute`` moves
in front of it when it treats groups of axes that the permutation keeps together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, has_tensor, is_call, shape_of, sizes_of

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "sink_views"


def run(editor: GraphEditor) -> PassLog:
    """Sink until nothing moves any more."""
    before = _views(editor)
    for _ in range(8):
        moved = sum(_step(editor, node) for node in editor.nodes() if has_tensor(node))
        editor.sweep()
        if not moved:
            break
    after = _views(editor)
    return PassLog(name=NAME, rewrites=max(before - after, 0), detail=f"{before} views before, {after} after")


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
    import torch

    aten = torch.ops.aten
    if node.target is aten.permute.default:
        return _permute(editor, node)
    if node.target is aten.reshape.default:
        return _reshape(editor, node)
    rules: tuple[Callable[[GraphEditor, Node], bool], ...] = (_elementwise, _slice, _mean, _cat, _last_axis)
    return any(rule(editor, node) for rule in rules)


def _permute(editor: GraphEditor, node: Node) -> bool:
    import torch

    source, axes = _parts(node)
    if axes == sorted(axes):
        editor.replace(node, source)
        return True
    if not is_call(source, torch.ops.aten.permute.default):
        return False
    inner, inner_axes = _parts(source)
    merged = [inner_axes[axis] for axis in axes]
    editor.replace(node, _permuted(editor, inner, merged, node))
    return True


def _reshape(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    source = cast("Node", node.args[0])
    if shape_of(source) == shape_of(node):
        editor.replace(node, source)
        return True
    sizes = sizes_of(node)
    if sizes is None:
        return False
    if is_call(source, aten.reshape.default):
        new = editor.call(aten.reshape.default, (source.args[0], sizes), before=node, like=node)
        editor.replace(node, new)
        return True
    return is_call(source, aten.permute.default) and _reshape_behind_permute(editor, node, source)


def _reshape_behind_permute(editor: GraphEditor, node: Node, permute: Node) -> bool:
    import torch

    source, axes = _parts(permute)
    groups = axis_groups(shape_of(permute), shape_of(node))
    if groups is None:
        return False
    blocks = [[axes[axis] for axis in left] for left, _ in groups]
    if not all(block and block == list(range(block[0], block[0] + len(block))) for block in blocks):
        return False
    order = sorted(range(len(groups)), key=lambda index: blocks[index][0])
    positions: dict[int, int] = {}
    for index in order:
        for axis in groups[index][1]:
            positions[axis] = len(positions)
    sizes = [shape_of(node)[axis] for axis in positions]
    if any(not isinstance(size, int) for size in sizes[1:]) or 0 in sizes:
        return False
    args = (source, [-1, *sizes[1:]])
    reshaped = editor.call(torch.ops.aten.reshape.default, args, before=node, like=node)
    new = _permuted(editor, reshaped, [positions[axis] for axis in range(len(positions))], node)
    editor.replace(node, new)
    return True


def _elementwise(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    if node.target in _unary():
        view = node.args[0]
        if not is_call(view, aten.permute.default, aten.reshape.default):
            return False
        return _behind(editor, node, cast("Node", view), (cast("Node", view).args[0], *node.args[1:]))
    if node.target not in _binary() or len(node.args) != 2:
        return False
    return _binary_permutes(editor, node) or _binary_reshapes(editor, node)


def _binary_permutes(editor: GraphEditor, node: Node) -> bool:
    import torch

    permutes = [arg for arg in node.args if is_call(arg, torch.ops.aten.permute.default)]
    if not permutes:
        return False
    first = cast("Node", permutes[0])
    _, axes = _parts(first)
    if len(shape_of(node)) != len(axes):
        return False
    args = [_before_permute(editor, node, arg, axes) for arg in node.args]
    if any(arg is None for arg in args):
        return False
    return _behind(editor, node, first, tuple(args))


def _before_permute(editor: GraphEditor, node: Node, operand: object, axes: list[int]) -> object:
    """What ``operand`` has to be for the same result in front of a permutation; None if it cannot be told."""
    import torch

    if isinstance(operand, (int, float)):
        return operand
    if is_call(operand, torch.ops.aten.permute.default):
        source, other = _parts(cast("Node", operand))
        return source if other == axes else None
    tensor = editor.constant(operand)
    if tensor is None or tensor.dim() > len(axes):
        return None
    if tensor.numel() == 1 and tensor.dim() == 0:
        return operand
    full = tensor.reshape((1,) * (len(axes) - tensor.dim()) + tuple(tensor.shape))
    inverse = [axes.index(axis) for axis in range(len(axes))]
    return editor.add_constant(full.permute(inverse), node, "permuted")


def _binary_reshapes(editor: GraphEditor, node: Node) -> bool:
    import torch

    reshapes = [arg for arg in node.args if is_call(arg, torch.ops.aten.reshape.default)]
    if not reshapes:
        return False
    first = cast("Node", reshapes[0])
    inner = shape_of(cast("Node", first.args[0]))
    if shape_of(first) != shape_of(node):
        return False
    args: list[object] = []
    for arg in node.args:
        if isinstance(arg, (int, float)):
            args.append(arg)
        elif is_call(arg, torch.ops.aten.reshape.default):
            other = cast("Node", arg)
            if shape_of(other) != shape_of(first) or shape_of(cast("Node", other.args[0])) != inner:
                return False
            args.append(other.args[0])
        elif _only_last_axis(editor, arg) and inner[-1] == shape_of(first)[-1]:
            args.append(arg)
        else:
            return False
    return _behind(editor, node, first, tuple(args))


def _only_last_axis(editor: GraphEditor, operand: object) -> bool:
    tensor = editor.constant(operand)
    return tensor is not None and tensor.dim() <= 1


def _slice(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    if node.target is not aten.slice.Tensor or not is_call(node.args[0], aten.permute.default):
        return False
    permute = cast("Node", node.args[0])
    source, axes = _parts(permute)
    axis = axes[cast("int", argument(node, 1, "dim", 0)) % len(axes)]
    bounds = [argument(node, *spelled) for spelled in ((2, "start"), (3, "end"))]
    args = (source, axis, *bounds, argument(node, 4, "step", 1))
    return _behind(editor, node, permute, args)


def _mean(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    if node.target is not aten.mean.dim or argument(node, 3, "dtype") is not None:
        return False
    view, dims = node.args[0], argument(node, 1, "dim")
    if not is_call(view, aten.permute.default, aten.reshape.default) or not dims:
        return False
    view = cast("Node", view)
    rank = len(shape_of(view))
    reduced = [axis % rank for axis in cast("list[int]", dims)]
    keep = bool(argument(node, 2, "keepdim", False))
    if view.target is aten.reshape.default:
        return not keep and _mean_behind_reshape(editor, node, view, reduced)
    source, axes = _parts(view)
    new = editor.call(aten.mean.dim, (source, [axes[axis] for axis in reduced], keep), before=node, like=node)
    kept = axes if keep else [axes[axis] for axis in range(rank) if axis not in reduced]
    ranks = sorted(kept)
    editor.replace(node, _permuted(editor, new, [ranks.index(axis) for axis in kept], node))
    return True


def _mean_behind_reshape(editor: GraphEditor, node: Node, view: Node, reduced: list[int]) -> bool:
    """Mean over merged axes is the mean over all of them; nothing else may have been reshaped."""
    import torch

    source = cast("Node", view.args[0])
    groups = axis_groups(shape_of(source), shape_of(view))
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
    new = editor.call(torch.ops.aten.mean.dim, (source, axes, False), before=node, like=node)
    editor.replace(node, new)
    return True


def _cat(editor: GraphEditor, node: Node) -> bool:
    import torch

    aten = torch.ops.aten
    if node.target is not aten.cat.default:
        return False
    parts = cast("list[Node]", node.args[0])
    if not parts or not all(is_call(part, aten.permute.default) for part in parts):
        return False
    _, axes = _parts(parts[0])
    if any(_parts(part)[1] != axes for part in parts):
        return False
    axis = axes[cast("int", argument(node, 1, "dim", 0)) % len(axes)]
    return _behind(editor, node, parts[0], ([part.args[0] for part in parts], axis))


def _last_axis(editor: GraphEditor, node: Node) -> bool:
    """Linear, layer norm and softmax look at the last axis only."""
    import torch

    aten = torch.ops.aten
    if node.target not in (aten.linear.default, aten.layer_norm.default, aten.softmax.int):
        return False
    view = node.args[0]
    if not is_call(view, aten.permute.default, aten.reshape.default):
        return False
    view = cast("Node", view)
    inner, outer = shape_of(cast("Node", view.args[0])), shape_of(view)
    if node.target is aten.layer_norm.default and len(cast("list[int]", node.args[1])) != 1:
        return False
    if node.target is aten.softmax.int and cast("int", node.args[1]) % len(outer) != len(outer) - 1:
        return False
    if view.target is aten.permute.default:
        if _parts(view)[1][-1] != len(outer) - 1:
            return False
    elif not inner or inner[-1] != outer[-1] or len(inner) < 2:
        return False
    args = (view.args[0], *node.args[1:])
    if node.target is aten.softmax.int:
        args = (view.args[0], -1, *node.args[2:])
    return _behind(editor, node, view, args)


def _behind(editor: GraphEditor, node: Node, view: Node, args: tuple[object, ...]) -> bool:
    """Replace ``node`` by the same call on ``args`` with ``view`` behind it."""
    import torch

    if node.kwargs:
        return False
    target = cast("Callable[..., object]", node.target)
    if view.target is torch.ops.aten.permute.default:
        new = editor.call(target, args, before=node, like=node)
        editor.replace(node, _permuted(editor, new, _parts(view)[1], node, like=view))
        return True
    sizes = sizes_of(node)
    if sizes is None:
        return False
    new = editor.call(target, args, before=node, like=node)
    editor.replace(node, editor.call(torch.ops.aten.reshape.default, (new, sizes), before=node, like=view))
    return True


def _permuted(editor: GraphEditor, source: Node, axes: list[int], node: Node, like: Node | None = None) -> Node:
    import torch

    if axes == sorted(axes):
        return source
    return editor.call(torch.ops.aten.permute.default, (source, axes), before=node, like=like or node)


def _parts(permute: Node) -> tuple[Node, list[int]]:
    source = cast("Node", permute.args[0])
    rank = len(shape_of(source))
    return source, [axis % rank for axis in cast("list[int]", permute.args[1])]


def _views(editor: GraphEditor) -> int:
    import torch

    return sum(1 for _ in editor.nodes(torch.ops.aten.permute.default, torch.ops.aten.reshape.default))


def _unary() -> frozenset[object]:
    import torch

    aten = torch.ops.aten
    return frozenset(
        (
            aten.gelu.default, aten.relu.default, aten.relu_.default, aten.silu.default, aten.silu_.default,
            aten.sigmoid.default, aten.tanh.default, aten.hardswish.default, aten.hardswish_.default,
            aten.hardsigmoid.default, aten.hardtanh.default, aten.hardtanh_.default, aten.leaky_relu.default,
            aten.elu.default, aten.exp.default, aten.erf.default, aten.neg.default, aten.abs.default,
            aten.sqrt.default, aten.rsqrt.default, aten.square.default, aten.pow.Tensor_Scalar, aten.clamp.default,
            aten.relu6.default, aten.mish.default, aten.softplus.default,
        )
    )  # fmt: skip


def _binary() -> frozenset[object]:
    import torch

    aten = torch.ops.aten
    return frozenset((aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.add_.Tensor))
