"""The history of a graph's nodes, shared instead of copied.

torch notes in every node which nodes it comes from (``from_node``), and copies the notes of all of them with each new
one: a tenth of a conversion to TFLite, a fifth of a lowering to ExecuTorch. Nobody writes into a note.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from export.quick.known_sources import are_known

TRIED_WITH = {"torch": "2.13.0"}
SOURCES = {"torch.fx.traceback.NodeSource.__init__": "99395e7f40a4a0490145b2b1ca70c03c"}


@contextmanager
def shared_history() -> Iterator[bool]:
    """Share the notes while the block runs; yields False, and does nothing, beside a torch that was not read."""
    if not are_known(TRIED_WITH, SOURCES):
        yield False
        return
    from torch.fx.traceback import NodeSource

    with mock.patch.object(NodeSource, "__deepcopy__", lambda source, memo: source, create=True):
        yield True
