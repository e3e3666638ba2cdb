"""Keep images with their channels last from end to end.

Needs: views as ``canonical_views`` leaves them.
Guarantees: the same function. Each spatial call (convolution, pooling, resizing) stands between a permute to NCHW and
one back, and all other permutes have met and cancelled where they could; a converter to an NHWC runtime, or a
convolution that takes channels-last strides, swallows the pairs. No ``sink_views`` may run behind this pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, has_tensor, is_call, shape_of
from export.passes import sink_views

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node

NAME = "channels_last"
TO_NHWC = [0, 2, 3, 1]
TO_NCHW = [0, 3, 1, 2]


def run(editor: GraphEditor) -> PassLog:
    """Bring the graph to channels-last form."""
    import torch

    spatial = [node for node in editor.nodes(*_spatial()) if has_tensor(node) and len(shape_of(node)) == 4]
    for node in spatial:
        last = _permute(editor, cast("Node", node.args[0]), TO_NHWC, node)
        target = _last(cast("Callable[..., Tensor]", node.target))
        new = editor.call(target, (last, *node.args[1:]), dict(node.kwargs), before=node, like=node)
        editor.replace(node, _permute(editor, new, TO_NCHW, node))
    sunk = sink_views.run(editor)
    for node in editor.nodes():
        if isinstance(node.target, _ChannelsLast):
            _expand(editor, node)
    left = sum(1 for _ in editor.nodes(torch.ops.aten.permute.default))
    return PassLog(name=NAME, rewrites=len(spatial), detail=f"{len(spatial)} spatial calls; {sunk.detail}; {left} left")


class _ChannelsLast:
    """A spatial call that takes and gives channels last; lives only inside of this pass."""

    def __init__(self, target: Callable[..., Tensor]) -> None:
        self.target = target
        self.__name__ = "channels_last"
        self.__module__ = __name__

    def __call__(self, image: Tensor, *args: object, **kwargs: object) -> Tensor:
        return self.target(image.permute(TO_NCHW), *args, **kwargs).permute(TO_NHWC)


def _last(target: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return _ChannelsLast(target)


def _expand(editor: GraphEditor, node: Node) -> None:
    import torch

    target = cast("_ChannelsLast", node.target).target
    source = cast("Node", node.args[0])
    if is_call(source, torch.ops.aten.permute.default) and list(cast("list[int]", source.args[1])) == TO_NHWC:
        first = cast("Node", source.args[0])
    else:
        first = _permute(editor, source, TO_NCHW, node)
    new = editor.call(target, (first, *node.args[1:]), dict(node.kwargs), before=node, like=node)
    editor.replace(node, _permute(editor, new, TO_NHWC, node))


def _permute(editor: GraphEditor, source: Node, axes: list[int], node: Node) -> Node:
    import torch

    return editor.call(torch.ops.aten.permute.default, (source, axes), before=node, like=node)


def _spatial() -> tuple[object, ...]:
    import torch

    aten = torch.ops.aten
    return (
        aten.conv2d.default,
        aten.conv2d.padding,
        aten.conv_transpose2d.input,
        aten.max_pool2d.default,
        aten.avg_pool2d.default,
        aten.adaptive_avg_pool2d.default,
        aten.upsample_bilinear2d.vec,
        aten.upsample_nearest2d.vec,
        aten.batch_norm.default,
    )
