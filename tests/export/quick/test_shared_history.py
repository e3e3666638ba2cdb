"""Notes of where nodes come from are shared while the block runs, and copied again behind it."""

from __future__ import annotations

import copy

import pytest
from torch.fx import Graph
from torch.fx.traceback import NodeSource

from export.quick import shared_history


def test_notes_are_shared_within_the_block_alone() -> None:
    note = NodeSource(Graph().placeholder("x"), "tracing")
    with shared_history.shared_history() as on:
        assert on
        assert copy.deepcopy(note) is note
    copied = copy.deepcopy(note)
    assert copied is not note
    assert copied == note


def test_it_stands_aside_beside_another_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shared_history.SOURCES, "torch.fx.traceback.NodeSource.__init__", "0" * 32)
    with shared_history.shared_history() as on:
        assert not on
        assert not hasattr(NodeSource, "__deepcopy__")
