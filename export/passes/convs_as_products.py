"""Spell convolutions over patches and pointwise ones as linear layers, which a runtime takes in int8 between floats.

Needs: what ``patches_as_linear`` and ``pointwise_as_linear`` need.
Guarantees: the same function. With fixed ranges, convolutions in chains (``export.quantization.clamps``) stay what they
are: int8 passes from one to the next, which beats products between roundings.
"""

from __future__ import annotations

from export.artifact import PassLog
from export.graph_editor import GraphEditor, Refusals
from export.passes import patches_as_linear, pointwise_as_linear
from export.patterns import aten
from export.quantization.clamps import in_chains


def run(editor: GraphEditor, *, static: bool) -> PassLog:
    """Rewrite all, or with ``static`` all that are in no chain."""
    chained = in_chains(editor.graph) if static else set()
    found, refusals = 0, Refusals()
    for node in editor.nodes(aten.conv2d.default):
        for step in (patches_as_linear, pointwise_as_linear) if node not in chained else ():
            done = step.rewrite(editor, node)
            found += done is True
            if isinstance(done, str):
                refusals.add(node, done)
            if done:
                break
    detail = f"{found} convolutions as linear layers, {len(chained)} in chains"
    return PassLog(name="convs_as_products", rewrites=found, detail=detail, refused=refusals.rows())
