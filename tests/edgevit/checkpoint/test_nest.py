"""What nests without end is told from what only holds much."""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from pathlib import Path

import pytest

from edgevit.checkpoint.file import read_content
from edgevit.checkpoint.nest import Nest
from edgevit.errors import CheckpointError


def followed(pickled: bytes) -> Nest:
    nest = Nest()
    for code, argument, _ in pickletools.genops(pickled):
        nest.take(code, argument)
    return nest


def lists(times: int) -> object:
    value: list[object] = []
    for _ in range(times):
        value = [value, value]
    return value


def test_lists_unfold_to_what_their_text_holds() -> None:
    text = repr(lists(10))
    nest = followed(pickle.dumps(lists(10), 2))
    assert nest.unfolds_beyond(text.count("[") - 1)
    assert not followed(pickle.dumps(lists(10), 2)).unfolds_beyond(text.count("["))
    assert followed(pickle.dumps(lists(60), 2)).unfolds_beyond(20_000_000)


def test_much_that_does_not_nest_is_none() -> None:
    itself: list[object] = []
    itself.append(itself)
    for value in (list(range(100_000)), {str(at): [at] for at in range(1000)}, itself, (1, 2, (3, 4))):
        nest = followed(pickle.dumps(value, 2))
        assert not nest.unfolds_beyond(2000) and nest.widest < 10


def test_a_tuple_is_as_wide_as_all_within() -> None:
    assert followed(pickle.dumps(((1, 2), (3, (4, 5))), 2)).widest == 9


@pytest.mark.parametrize("ending", [b"ttR.", b"ttRx"])
def test_a_state_that_torch_would_quote_is_refused_at_once(tmp_path: Path, ending: bytes) -> None:
    """torch quotes the state of a tensor's subclass when it is neither one value nor two, also before damage."""
    nested = b"]q\x00" + b"".join(b"]q%c(h%ch%ce" % (at + 1, at, at) for at in range(60))
    called = b"(ccollections\nOrderedDict\nccollections\nOrderedDict\n)("
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n" + called + nested + ending)
        archive.writestr("w/version", "3\n")
    with pytest.raises(CheckpointError, match="would not end"):
        read_content(tmp_path / "w.pth")
