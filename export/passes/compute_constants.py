"""Compute at export what depends on constants alone.

Needs: calls whose operands are constants of the module, or that have none (``arange``, ``zeros``); a graph with a fixed
batch, since sizes that tracing wrote down are taken as they are.
Guarantees: the same values, computed by the same kernels in the same dtype: tables of position biases gathered by
constant indices, sine tables, masks. A result of more than ``MOST_BYTES`` is left to the runtime; calls that draw
random numbers or write into a tensor always are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import Node, map_arg
from torch.fx.node import Argument

from export.artifact import PassLog
from export.graph_editor import GraphEditor, Refusals

MOST_BYTES = 4 * 2**20
"""Chosen above the largest position bias of the networks at hand (LeViT-384: 0.9 MiB a block), far below their weights;
a table that is expanded to the size of an image would only make the file larger."""


def run(editor: GraphEditor) -> PassLog:
    """Replace the last of each chain of such calls by its value."""
    known: dict[Node, Argument] = {}
    with torch.no_grad():
        for node in editor.nodes():
            if _is_computable(editor, node, known):
                known[node] = _value(editor, node, known)
    found, refusals = 0, Refusals()
    for node, value in known.items():
        if not isinstance(value, Tensor) or all(user in known for user in node.users):
            continue
        if value.numel() * value.element_size() > MOST_BYTES:
            refusals.add(node, f"its value takes more than {MOST_BYTES >> 20} MiB")
            continue
        editor.replace(node, editor.add_constant(value.clone(), node, "computed"))
        found += 1
    editor.sweep()
    detail = f"{found} constants computed"
    return PassLog(name="compute_constants", rewrites=found, detail=detail, refused=refusals.rows())


def _is_computable(editor: GraphEditor, node: Node, known: dict[Node, Argument]) -> bool:
    random = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    if random or node.is_impure() or not node.users:
        return False
    return all(source in known or editor.constant(source) is not None for source in node.all_input_nodes)


def _value(editor: GraphEditor, node: Node, known: dict[Node, Argument]) -> Argument:
    assert callable(node.target)
    read = {source: known[source] if source in known else editor.constant(source) for source in node.all_input_nodes}
    args, named = map_arg(node.args, lambda source: read[source]), map_arg(node.kwargs, lambda source: read[source])
    value: Argument = node.target(*args, **named)
    return value
