"""``.ptl`` files are read safely: nothing of them is run, and damage is told apart."""

import os
import pickle
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lite_programs import RETURNS, archive_of, calling, code, function, lite_file, program
from small_artifacts import Restored
from small_models import conv_net
from torch import nn
from torch.jit.mobile import _backport_for_mobile, _load_for_lite_interpreter

from edgevit.errors import ArtifactError
from export.formats.ptl_file.read import read
from export.formats.ptl_file.write import write
from export.program import capture
from export.recipe import Format, Recipe

RECIPE = Recipe(format=Format.PTL)
DATA = Path(__file__).parents[3] / "data"


def test_operators_are_counted_and_traced_to_their_modules(tmp_path: Path) -> None:
    write(capture(*conv_net()), RECIPE, tmp_path / "model.ptl")
    operators = {operator.name: operator for operator in read(tmp_path / "model.ptl").operators}
    assert {name: operator.count for name, operator in operators.items()} == {
        "aten::_convolution": 1,
        "aten::relu": 1,
        "aten::max_pool2d": 1,
        "aten::flatten.using_ints": 1,
        "aten::linear": 1,
    }
    assert operators["aten::_convolution"].modules == ("stem.0",)
    assert operators["aten::linear"].modules == ("head",)
    assert all(operator.standard for operator in operators.values())


def test_damaged_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "model.ptl"
    write(capture(*conv_net()), RECIPE, path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtifactError, match="cannot read"):
        read(path)
    flipped = bytearray(data)
    flipped[data.index(b"aten::relu")] ^= 1
    path.write_bytes(bytes(flipped))
    with pytest.raises(ArtifactError, match=r"Bad CRC-32 for file 'archive/bytecode\.pkl'"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(ArtifactError):
        read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"")
    with pytest.raises(ArtifactError, match=r"has no bytecode\.pkl"):
        read(path)


class _Attack:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch attacked",)


def test_reading_runs_nothing_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ({"constants": (_Attack(),)}, {"types": (_Attack(),)}):
        evil = program(function(code(*RETURNS, **place)))
        with pytest.raises(ArtifactError, match=r"bytecode\.pkl cannot be read: it names 'posix\.system'"):
            read(lite_file(Path("evil.ptl"), evil))
    for name in ("data.pkl", "code/a.py.debug_pkl", "Mobile_Debug_Handles.pkl", "metadata.pkl"):
        attack = (f"m/{name}", pickle.dumps(_Attack(), 2))
        with pytest.raises(ArtifactError, match=r"cannot be read: it names 'posix\.system'"):
            read(archive_of(Path("evil.ptl"), ("m/bytecode.pkl", calling(GOOD)), attack))
    assert not Path("attacked").exists()


def test_metadata_that_is_no_json_is_refused_like_any_damage(tmp_path: Path) -> None:
    path = archive_of(
        tmp_path / "model.ptl", ("x/bytecode.pkl", program()), ("x/version", b"3"), ("x/extra/modules", b"[1")
    )
    with pytest.raises(ArtifactError, match=r"model\.ptl: metadata 'modules' is broken"):
        read(path)


GOOD, EVIL = ("aten::relu", "", 1), ("aten::from_file", "", 1)


def test_a_function_whose_code_has_its_parts_twice_or_elsewhere_is_refused(tmp_path: Path) -> None:
    """torch goes by position, a dictionary by the last of two keys."""
    good, evil = code(*RETURNS, operators=(GOOD,)), code(*RETURNS, operators=(EVIL,))
    for body in ((*evil, good[1]), (good[1], *good[:1], *good[2:]), good[:4]):
        with pytest.raises(ArtifactError, match="code must hold instructions, operators"):
            read(lite_file(tmp_path / "m.ptl", program(function(body))))


def test_operators_that_are_named_but_not_called_count_too(tmp_path: Path) -> None:
    (operator,) = read(lite_file(tmp_path / "m.ptl", program(function(code(*RETURNS, operators=(EVIL,)))))).operators
    assert (operator.name, operator.count, operator.standard) == ("aten::from_file", 0, False)
    assert operator.why_not is not None and "it opens files" in operator.why_not


def test_each_call_counts_and_a_custom_operator_is_told(tmp_path: Path) -> None:
    (operator,) = read(lite_file(tmp_path / "m.ptl", calling(("acme::fast", "best", 1), 4))).operators
    assert (operator.name, operator.count, operator.standard) == ("acme::fast.best", 4, False)
    assert operator.why_not and "custom operator" in operator.why_not


def test_a_file_that_runs_code_while_it_is_loaded_is_refused(tmp_path: Path) -> None:
    """torch calls ``__setstate__`` of a class when it loads an object of it: by itself, before any run."""
    restored = function(code(("OP", 0, 0), ("RET", 0, 0), operators=(GOOD,)), 1, "__torch__.M.__setstate__")
    with pytest.raises(ArtifactError, match=r"__setstate__ would run while the file is being loaded"):
        read(lite_file(tmp_path / "m.ptl", program(restored)))


def test_a_real_file_that_runs_code_while_it_is_loaded_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(bytes(16))
    torch.jit.script(Restored(str(victim)).eval())._save_for_lite_interpreter(str(tmp_path / "m.ptl"))
    with pytest.raises(ArtifactError, match="__setstate__ would run while the file is being loaded, on what are no"):
        read(tmp_path / "m.ptl")
    assert victim.read_bytes() == bytes(16)
    _load_for_lite_interpreter(str(tmp_path / "m.ptl"))
    assert victim.read_bytes() != bytes(16)  # or the test would not try what it says


@pytest.mark.parametrize("bytecode", [None, 7, 6, 5, 4])
@pytest.mark.parametrize("how", [torch.jit.script, lambda net: torch.jit.trace(net, torch.zeros(1, 3, 32, 32))])
def test_files_from_elsewhere_are_read(
    tmp_path: Path, how: Callable[[nn.Module], torch.jit.ScriptModule], bytecode: int | None
) -> None:
    """Neither frozen nor written by this tool: attributes, branches, loops and all."""
    path = tmp_path / "m.ptl"
    how(conv_net()[0].eval())._save_for_lite_interpreter(str(path))
    if bytecode is not None:
        _backport_for_mobile(str(path), str(tmp_path / "old.ptl"), bytecode)
        path = tmp_path / "old.ptl"
    facts = read(path)
    assert {"aten::relu", "aten::linear"} <= {operator.name for operator in facts.operators}
    assert [operator.name for operator in facts.operators if not operator.standard] == []
    assert facts.metadata["bytecode"] == str(bytecode or 8)


@pytest.mark.parametrize("path", sorted((DATA / "hostile" / "ptl").glob("*")), ids=lambda path: path.name)
def test_what_once_hung_or_filled_the_memory_is_refused_at_once(path: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ArtifactError):
        read(path)
    assert time.monotonic() - started < 2
