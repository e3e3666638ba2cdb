"""``.ptl`` files are read safely: nothing of them is run, and damage is told apart."""

import os
import pickle
import warnings
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


def code_of(operator: tuple[object, ...], *, constants: tuple[object, ...] = ()) -> tuple[object, ...]:
    """The code of a function that calls ``operator`` twice."""
    return (
        ("instructions", (("OP", 0, 0), ("OP", 0, 0))),
        ("operators", (operator,)),
        ("constants", constants),
        ("types", ()),
        ("register_size", 1),
    )


class _Attack:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch attacked",)


def test_reading_runs_nothing_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = code_of(("acme::fast", "", 1), constants=(_Attack(),))
    with zipfile.ZipFile("evil.ptl", "w") as archive:
        archive.writestr("evil/bytecode.pkl", pickle.dumps((8, ("f", code), ("g", code, _Attack())), 2))
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


GOOD, EVIL = ("aten::relu", ""), ("aten::from_file", "")


def archive_of(path: Path, *records: tuple[str, bytes], comment: bytes = b"", prefix: bytes = b"") -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of the second record of one name
        with zipfile.ZipFile(path, "w") as archive:
            archive.comment = comment
            for name, data in records:
                archive.writestr(name, data)
    path.write_bytes(prefix + path.read_bytes())
    return path


def bytecode(operator: tuple[object, ...]) -> bytes:
    return pickle.dumps((8, ("f", code_of(operator))), 2)


@pytest.mark.parametrize(
    ("words", "records", "options"),
    [
        ("one name", [("a/bytecode.pkl", bytecode(EVIL)), ("a/bytecode.pkl", bytecode(GOOD))], {}),
        ("one name", [("a/Bytecode.pkl", bytecode(EVIL)), ("a/bytecode.pkl", bytecode(GOOD))], {}),
        ("several folders", [("a/bytecode.pkl", bytecode(GOOD)), ("b/bytecode.pkl", bytecode(EVIL))], {}),
        ("does not begin", [("a/bytecode.pkl", bytecode(GOOD))], {"prefix": b"\x10\0\0\0PTMF and a program"}),
        ("a comment", [("a/bytecode.pkl", bytecode(GOOD))], {"comment": b"PK\x05\x06" + bytes(18)}),
    ],
)
def test_what_another_reader_may_read_otherwise_is_refused(
    tmp_path: Path, words: str, records: list[tuple[str, bytes]], options: dict[str, bytes]
) -> None:
    path = archive_of(tmp_path / "m.ptl", *records, **options)
    with pytest.raises(ArtifactError, match=rf"more than one way.*{words}|cannot read"):
        read(path)


def test_a_function_whose_code_has_its_parts_twice_or_elsewhere_is_refused(tmp_path: Path) -> None:
    """torch goes by position, a dictionary by the last of two keys."""
    good, evil = code_of(GOOD), code_of(EVIL)
    for code in ((*evil, good[1]), (good[1], *good[:1], *good[2:]), good[:4]):
        data = pickle.dumps((8, ("f", code)), 2)
        with pytest.raises(ArtifactError, match="code must hold instructions, operators"):
            read(archive_of(tmp_path / "m.ptl", ("a/bytecode.pkl", data)))


def test_operators_that_are_named_but_not_called_count_too(tmp_path: Path) -> None:
    code = (("instructions", ()), *code_of(EVIL)[1:])
    data = pickle.dumps((8, ("f", code)), 2)
    (operator,) = read(archive_of(tmp_path / "m.ptl", ("a/bytecode.pkl", data))).operators
    assert (operator.name, operator.count, operator.standard) == ("aten::from_file", 0, False)
    named = bytecode((["aten::relu"], ""))
    with pytest.raises(ArtifactError, match="must be named by texts"):
        read(archive_of(tmp_path / "m.ptl", ("a/bytecode.pkl", named)))
