"""Let elementwise calls write into an operand that nobody else reads.

Needs: an activation of ``WRITING``, or ``add``, ``sub``, ``mul`` or ``div`` of two tensors or by their overload for a
number; one operand of the result's shape and dtype (of ``sub`` and ``div`` the first) and just computed (by a product,
a normalisation or another such call, also seen through views) from an input, for this call alone.
Guarantees: the same function with ``gelu_``, ``add_`` and so on. For a runtime that allocates every result anew: fewer
tensors live at once, and no fresh memory is touched. The last pass of a list: no other one may run on calls that write.
"""

from __future__ import annotations

from export.artifact import PassLog
from export.formats.ptl_file.narrow import writing
from export.formats.ptl_file.narrow.writing import WRITING, let_write
from export.graph_editor import GraphEditor
from export.passes import prepacked

FRESH = (prepacked.CALL, *writing.FRESH)
"""Calls whose result is never a view of what they take."""
__all__ = ["FRESH", "WRITING", "run"]


def run(editor: GraphEditor, bytecode: int | None = None) -> PassLog:
    """Rewrite every call that has such an operand, and that the runtimes of ``bytecode`` (None: torch's own) have."""
    found = let_write(editor, bytecode, FRESH)
    return PassLog(name="in_place", rewrites=found, detail=f"{found} calls write into an operand")
