"""Compute the projections of one input by one linear layer where that leaves fewer columns empty.

Needs: what ``join_projections`` needs.
Guarantees: what it guarantees. XNNPACK computes products in tiles of ``TILE`` columns: three projections of 36 columns
take 144, one of 108 takes 112. Where the projections fill their tiles, one product is no faster than three, and taking
its parts copies them once more.
"""

from __future__ import annotations

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.passes.join_projections import join_where

TILE = 16
"""Columns of XNNPACK's float32 product with AVX-512; Arm's 8 are filled by what fills 16."""


def run(editor: GraphEditor) -> PassLog:
    """Join all projections that fit and save columns."""
    return join_where(editor, "join_narrow_projections", _saves_columns)


def _saves_columns(widths: list[int]) -> bool:
    return _computed(sum(widths)) < sum(map(_computed, widths))


def _computed(columns: int) -> int:
    """The columns that a product of ``columns`` computes."""
    return -(-columns // TILE) * TILE
