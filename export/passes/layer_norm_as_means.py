"""Phrase layer normalisation so that a delegate without that operator takes all of it.

Needs: ``layer_norm`` over the last axis.
Guarantees: the same function as mean, subtraction, square, mean, ``rsqrt`` and products; one mean less where the input
is centred by construction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from export.artifact import PassLog
from export.graph_editor import GraphEditor, argument, shape_of
from export.passes.centre_before_norm import is_centred

if TYPE_CHECKING:
    from torch.fx import Node

NAME = "layer_norm_as_means"


def run(editor: GraphEditor) -> PassLog:
    """Phrase every layer normalisation over the last axis."""
    import torch

    found = sum(_rewrite(editor, node) for node in editor.nodes(torch.ops.aten.layer_norm.default))
    return PassLog(name=NAME, rewrites=found, detail=f"{found} normalisations as means")


def _rewrite(editor: GraphEditor, norm: Node) -> bool:
    import torch

    aten = torch.ops.aten
    source = cast("Node", norm.args[0])
    channels = shape_of(source)[-1]
    if len(cast("list[int]", norm.args[1])) != 1 or norm.kwargs or not isinstance(channels, int):
        return False
    eps = cast("float", argument(norm, 4, "eps", 1e-5))

    def call(target: object, *args: object) -> Node:
        return editor.call(target, args, before=norm, like=norm)  # type: ignore[arg-type]

    centred = source
    if not is_centred(norm):
        centred = call(aten.sub.Tensor, source, call(aten.mean.dim, source, [-1], True))
    square = call(aten.mul.Tensor, centred, centred)
    variance = call(aten.add.Tensor, call(aten.mean.dim, square, [-1], True), eps)
    new = call(aten.mul.Tensor, centred, call(aten.rsqrt.default, variance))
    for target, index, name in ((aten.mul.Tensor, 2, "weight"), (aten.add.Tensor, 3, "bias")):
        if argument(norm, index, name) is not None:
            new = call(target, new, argument(norm, index, name))
    editor.replace(norm, new)
    return True
