"""Keep images with their channels last from end to end.

Needs: views as ``canonical_views`` leaves them.
Guarantees: the same function. Each spatial call (convolution, pooling, resizing) stands between a permute to NCHW and
one back, and all other permutes have met and cancelled where they could; a converter to an NHWC runtime, or a
convolution that takes channels-last strides, swallows the pairs. No ``sink_views`` may run behind this pass.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor, Refusals
from export.passes import sink_views
from export.patterns import aten, has_tensor, is_permute, operand, rank_of
from export.program import TO_NCHW, TO_NHWC

SPATIAL = (
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


def run(editor: GraphEditor) -> PassLog:
    """Bring the graph to channels-last form."""
    spatial, refusals = [], Refusals()
    for node in editor.nodes(*SPATIAL):
        if has_tensor(node) and rank_of(node) == 4:
            spatial.append(node)
        elif node.target is not aten.batch_norm.default:
            refusals.add(node, "its image has no batch axis")
    for node in spatial:
        assert callable(node.target)
        last = editor.permute(node, operand(node), TO_NHWC)
        new = editor.call(node, _ChannelsLast(node.target), last, *node.args[1:], kwargs=node.kwargs)
        editor.replace(node, editor.permute(node, new, TO_NCHW))
    sunk = sink_views.run(editor)
    for node in editor.nodes():
        if isinstance(node.target, _ChannelsLast):
            _expand(editor, node, node.target.target)
    left = sum(1 for _ in editor.nodes(aten.permute.default))
    detail = f"{len(spatial)} spatial calls; {sunk.detail}; {left} left"
    return PassLog(name="channels_last", rewrites=len(spatial), detail=detail, refused=refusals.rows())


class _ChannelsLast:
    """A spatial call that takes and gives channels last; lives only inside of this pass."""

    def __init__(self, target: Callable[..., Tensor]) -> None:
        self.target = target
        self.__name__ = "channels_last"
        self.__module__ = __name__

    def __call__(self, image: Tensor, *args: object, **kwargs: object) -> Tensor:
        """(N, H, W, C) to (N, H', W', C')."""
        return self.target(image.permute(TO_NCHW), *args, **kwargs).permute(TO_NHWC)


def _expand(editor: GraphEditor, node: Node, target: Callable[..., Tensor]) -> None:
    """Write out what ``node`` stands for: a permute to NCHW (or what lies in front of it), ``target``, and one back."""
    source = operand(node)
    first = operand(source) if is_permute(source, TO_NHWC) else editor.permute(node, source, TO_NCHW)
    new = editor.call(node, target, first, *node.args[1:], kwargs=node.kwargs)
    editor.replace(node, editor.permute(node, new, TO_NHWC))
