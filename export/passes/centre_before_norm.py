"""Let the product in front of a layer normalisation compute centred values, and say so.

Needs: ``layer_norm`` over the last axis of what a linear layer, or a convolution behind a permute and reshapes that
keep its channels as the last axis, computes for nobody else; constant weights.
Guarantees: the same function. The mean over the channels is subtracted from the weights (LN(x) = LN(x - mean(x))), so
the mean that the normalisation would compute is 0; ``is_centred`` tells it to the pass that phrases it.
"""

from __future__ import annotations

from torch.fx import Node

from export.graph_editor import GraphEditor, each_call
from export.patterns import (
    argument,
    as_double,
    aten,
    is_call,
    is_over_last_axis,
    is_permute,
    keeps_last_axis,
    only_user,
    operand,
)
from export.program import TO_NHWC

MARK = "edgevit_export_centred"


def is_centred(norm: Node) -> bool:
    """Whether the input of ``norm`` has the mean 0 over its last axis by construction."""
    return norm.meta.get(MARK) is True


@each_call(aten.layer_norm.default, done="products centred")
def run(editor: GraphEditor, norm: Node) -> bool:
    """Centre every product whose only reader is a layer normalisation."""
    if is_centred(norm) or not is_over_last_axis(norm):
        return False
    product = _producer(norm)
    weights = None if product is None else editor.weights(product)
    if product is None or weights is None:
        return False
    weight, bias = as_double(weights[0]), weights[1]
    centred = None if bias is None else as_double(bias) - as_double(bias).mean()
    editor.replace(product, editor.with_weights(product, weight - weight.mean(0), centred))
    norm.meta[MARK] = True
    return True


def _producer(norm: Node) -> Node | None:
    """The product that ``norm`` alone reads, with its output channels as the last axis of what ``norm`` sees."""
    user, node = norm, operand(norm)
    while only_user(node) is user and is_call(node, aten.reshape.default):
        if not keeps_last_axis(node):
            return None
        user, node = node, operand(node)
    if only_user(node) is not user:
        return None
    if is_call(node, aten.linear.default):
        return node
    if not is_permute(node, TO_NHWC):
        return None
    conv = operand(node)
    whole = is_call(conv, aten.conv2d.default) and argument(conv, 6, "groups", 1) == 1
    return conv if whole and only_user(conv) is node else None
