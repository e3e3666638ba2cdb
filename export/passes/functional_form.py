"""Replace calls that write into a tensor by those that make a new one.

Needs: writes (``relu_``, ``y += x``, ``x[:, 0] = 1``, ``out=``) into tensors that the graph itself makes, whoever else
reads them, or a part of them (``export.functional``).
Guarantees: the same function without writes; the passes behind it may move calls. All writes go, or none: the rest of a
list does not run on a graph that keeps one.
"""

from __future__ import annotations

from export.artifact import PassLog
from export.functional.rewrite import functionalise
from export.graph_editor import GraphEditor, Refusals


def run(editor: GraphEditor) -> PassLog:
    """Replace every write, or say which of them stay."""
    found, stay = functionalise(editor.module)
    refusals = Refusals()
    for node, why in stay:
        refusals.add(node, why)
    done = 0 if stay else found
    editor.sweep()
    return PassLog(name="functional_form", rewrites=done, detail=f"{done} in-place calls", refused=refusals.rows())
