"""Names in pickles are read, never run; what is built to take time or memory is refused before it is loaded."""

from __future__ import annotations

import pickle
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from training_checkpoints import FORMS, foreign_packages

from edgevit.checkpoint.file import read_content
from edgevit.checkpoint.inert import MOST_OPERATIONS, PKL_BYTES, Inert, stand_ins
from edgevit.errors import CheckpointError


class Calls:
    """Its pickle calls something."""

    def __init__(self, called: object, *arguments: object) -> None:
        self.called, self.arguments = called, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.called, self.arguments


def test_stand_ins_are_for_what_only_holds_data(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with foreign_packages():
        torch.save(FORMS["odds and ends"][0](torch.nn.Linear(1, 1)), path)
    names = {entry[1] for entry in stand_ins(path) if isinstance(entry, tuple)}
    assert {"argparse.Namespace", "pathlib.PosixPath", "omegaconf.dictconfig.DictConfig", "builtins.slice"} <= names
    assert not any(name.startswith(("torch._utils", "collections.OrderedDict")) for name in names)
    before = set(sys.modules)
    content = read_content(path)
    assert not {name for name in set(sys.modules) - before if name.startswith(("omegaconf", "yacs", "mmengine"))}
    assert isinstance(content, dict) and type(content["best"]) is Inert and type(content["yacs"]) is not dict


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "called", ["os.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "builtins.open", "runpy.run_path"]
)
def test_hostile_pickles_run_nothing(tmp_path: Path, called: str, zipped: bool) -> None:
    target = tmp_path / "was-run"
    module, _, name = called.partition(".")
    __import__(module)
    content = {"model": {"a": torch.ones(1)}, "x": Calls(getattr(sys.modules[module], name), f"touch {target}")}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"is refused: loading it would run or import '[\w.]+'"):
        read_content(tmp_path / "w.pth")
    assert not target.exists()


def test_what_a_stand_in_is_handed_is_not_run_either(tmp_path: Path) -> None:
    """``getattr`` and ``partial`` are among the stand-ins; a chain that ends in a call ends before it."""
    import functools
    import pathlib

    path, target = tmp_path / "w.pth", tmp_path / "was-run"
    touch = Calls(functools.partial, Calls(getattr, pathlib.Path(target), "touch"))
    torch.save({"model": {"a": torch.ones(1)}, "x": touch}, path)
    read_content(path)
    assert not target.exists()
    raw = b"\x80\x02cbuiltins\ngetattr\ncpathlib\nPosixPath\nX\x04\x00\x00\x00homeq\x00\x86R)R."
    _archive(path, raw)
    with pytest.raises(CheckpointError):
        read_content(path)


def _archive(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("w/data.pkl", pickled)
        archive.writestr("w/version", "3\n")


def _doubling(times: int) -> bytes:
    """A dictionary whose key is a tuple of a tuple twice, and so on: its hash takes two to the power of ``times``."""
    return b"\x80\x02})q\x00" + b"".join(b"h%c\x86q%c" % (at, at + 1) for at in range(times)) + b"K\x01s."


_OLD_START = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)


def test_a_key_whose_hash_would_not_end_is_refused_at_once(tmp_path: Path) -> None:
    since = time.monotonic()
    _archive(tmp_path / "w.pth", _doubling(60))
    with pytest.raises(CheckpointError, match="its values nest so that reading would not end"):
        read_content(tmp_path / "w.pth")
    (tmp_path / "old.pth").write_bytes(_OLD_START + _doubling(60))
    with pytest.raises(CheckpointError, match="its values nest so that reading would not end"):
        read_content(tmp_path / "old.pth")
    assert time.monotonic() - since < 5


@pytest.mark.parametrize("hidden", ["behind another file", "by its letters", "by its directory"])
def test_what_torch_would_read_is_what_is_looked_at(tmp_path: Path, hidden: str) -> None:
    """Each of these was read by torch, which never ended, while Python saw a harmless pickle or none."""
    path = tmp_path / "w.pth"
    if hidden == "by its letters":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("w/Data.PKL", _doubling(60))
            archive.writestr("w/version", "3\n")
    elif hidden == "behind another file":
        _archive(path, b"\x80\x02}.")
        path.write_bytes(_OLD_START + _doubling(60) + path.read_bytes())
    else:
        _archive(path, b"\x80\x02}.".ljust(len(_doubling(60)), b"\0"))
        harmless = path.read_bytes()[:-22]
        _archive(path, _doubling(60))
        hostile = path.read_bytes()  # its end says where its directory is, which Python looks for in front of the end
        path.write_bytes(hostile[:-22] + harmless + hostile[-22:])
    with pytest.raises(CheckpointError, match=r"would not end|no zip ends where it ends"):
        read_content(path)


def test_a_version_whose_text_would_not_end_is_refused_at_once(tmp_path: Path) -> None:
    """Torch quotes a version that is not its own, here a list of a list twice, and so on."""
    lists = b"\x80\x02]q\x00" + b"".join(b"]q%c(h%ch%ce" % (at + 1, at, at) for at in range(60)) + b"."
    for start in (b"", pickle.dumps(0x1950A86A20F9469CFC6C, 2)):
        (tmp_path / "old.pth").write_bytes(start + lists)
        with pytest.raises(CheckpointError, match="it has no magic number"):
            read_content(tmp_path / "old.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_bytearray_that_would_fill_the_memory_is_refused(tmp_path: Path, zipped: bool) -> None:
    path, huge = tmp_path / "w.pth", b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\x00\x00\x00\x00\x01\x85R."
    if zipped:
        _archive(path, huge)
    else:
        path.write_bytes(_OLD_START + huge)
    with pytest.raises(CheckpointError, match="holds a bytearray"):
        read_content(path)


def test_more_names_than_can_be_looked_at_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PKL_BYTES >= 2**28
    monkeypatch.setattr("edgevit.checkpoint.inert.PKL_BYTES", 1000)
    _archive(tmp_path / "w.pth", _doubling(60) + bytes(2000))
    with pytest.raises(CheckpointError, match="bytes of names and options, more than 1,000"):
        read_content(tmp_path / "w.pth")


def test_a_zip_that_inflates_is_refused_before_it_does(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}.")
        archive.writestr("w/data/0", bytes(2**28))
    since = time.monotonic()
    with pytest.raises(CheckpointError, match="would inflate to 268,"):
        read_content(tmp_path / "w.pth")
    assert time.monotonic() - since < 1


def test_a_pickle_of_too_many_values_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_OPERATIONS > 10_000_000
    monkeypatch.setattr("edgevit.checkpoint.inert.MOST_OPERATIONS", 1000)
    _archive(tmp_path / "w.pth", b"\x80\x02(" + b"N" * 2000 + b"t.")
    with pytest.raises(CheckpointError, match="more than 1,000 pickled values"):
        read_content(tmp_path / "w.pth")


@pytest.mark.parametrize("cut", [0.0, 0.1, 0.5, 0.9])
def test_names_before_the_damage_are_found(tmp_path: Path, cut: float) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    assert stand_ins(path) == []
