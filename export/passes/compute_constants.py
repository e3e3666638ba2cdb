"""Compute at export what depends on constants alone.

Needs: calls whose operands are constants of the module, or that have none (``arange``, ``zeros``).
Guarantees: the same values, computed by the same kernels in the same dtype: tables of position biases gathered by
constant indices, sine tables, masks, weights that are normalised in every run. Left to the runtime are a result of more
than ``MOST_BYTES`` that is larger than all that it is computed from, calls that draw random numbers or write into a
tensor, and, where the batch shall be free, a tensor that is made for each sample of several (a class token): there
``export.dynamic_batch`` frees it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import Node, map_arg
from torch.fx.node import Argument

from export.artifact import PassLog
from export.dynamic_batch import copies_batch
from export.graph_editor import GraphEditor, Refusals
from export.patterns import shape_of

MOST_BYTES = 4 * 2**20
"""Chosen above the largest position bias of the networks at hand (LeViT-384: 0.9 MiB a block), far below their weights;
a table that is expanded to the size of an image would only make the file larger."""


def run(editor: GraphEditor, *, free_batch: bool = False) -> PassLog:
    """Replace the last of each chain of such calls by its value."""
    known: dict[Node, Argument] = {}
    largest: dict[Node, int] = {}  # bytes of the largest constant that a value is computed from
    batches = _batches(editor) if free_batch else set()
    with torch.no_grad():
        for node in editor.nodes():
            if _is_computable(editor, node, known) and not any(copies_batch(node, batch) for batch in batches):
                known[node] = _value(editor, node, known)
                read = (largest.get(source) or _bytes(editor.constant(source)) for source in node.all_input_nodes)
                largest[node] = max(read, default=0)
    found, refusals = 0, Refusals()
    for node, value in known.items():
        if not isinstance(value, Tensor) or all(user in known for user in node.users):
            continue
        if _bytes(value) > max(MOST_BYTES, largest[node]):
            refusals.add(node, f"its value takes more than {MOST_BYTES >> 20} MiB")
            continue
        editor.replace(node, editor.add_constant(value.clone(), node, "computed"))
        found += 1
    editor.sweep()
    detail = f"{found} constants computed"
    return PassLog(name="compute_constants", rewrites=found, detail=detail, refused=refusals.rows())


def _batches(editor: GraphEditor) -> set[int]:
    """First sizes of the inputs, but for 1: what is made for one sample can be copied for the others later."""
    inputs = (node for node in editor.graph.nodes if node.op == "placeholder")
    return {shape[0] for shape in map(shape_of, inputs) if shape and shape[0] != 1}


def _bytes(value: Tensor | None) -> int:
    return 0 if value is None else value.numel() * value.element_size()


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
