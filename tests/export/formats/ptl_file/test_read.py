"""``.ptl`` files are read safely: nothing of them is run, and damage is told apart."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
from small_models import conv_net

from edgevit.errors import ArtifactError
from export.formats.ptl_file.read import read
from export.formats.ptl_file.write import write
from export.program import capture
from export.recipe import Format, Recipe

RECIPE = Recipe(format=Format.PTL)


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
    with pytest.raises(ArtifactError, match=r"checksum of its record archive/bytecode\.pkl"):
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
    code = (("instructions", (("OP", 0, 0), ("OP", 0, 0))), ("operators", (("acme::fast", "", 1),)), _Attack())
    with zipfile.ZipFile("evil.ptl", "w") as archive:
        archive.writestr("evil/bytecode.pkl", pickle.dumps((8, ("f", code[:2]), ("g", code[:2], _Attack())), 2))
    facts = read(Path("evil.ptl"))
    assert not Path("attacked").exists()
    (operator,) = facts.operators
    assert (operator.name, operator.count, operator.standard) == ("acme::fast", 4, False)
    assert operator.why_not and "custom operator" in operator.why_not


def test_metadata_that_is_no_json_is_refused_like_any_damage(tmp_path: Path) -> None:
    path = tmp_path / "model.ptl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/bytecode.pkl", pickle.dumps((8,), 2))
        archive.writestr("x/extra/modules", "[1")
    with pytest.raises(ArtifactError, match=r"model\.ptl: metadata 'modules' is broken"):
        read(path)
