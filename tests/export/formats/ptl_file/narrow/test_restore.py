"""``__setstate__``: what ``widen`` writes is read; any other code that would run at load is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from lite_programs import archive_of
from ptl_layers import written

from edgevit.errors import ArtifactError
from export.formats.ptl_file.read import read, read_archive
from export.formats.ptl_file.rewrite import dump, load
from export.recipe import Precision


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = written(tmp_path_factory.mktemp("half") / "half.ptl", Precision.FP16)
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def changed(tmp_path: Path, records: dict[str, bytes], **fields: object) -> Path:
    """The file with other fields in the code of ``__setstate__``."""
    version, forward, (name, code, schema) = load(records["archive/bytecode.pkl"])  # type: ignore[misc]
    table = tuple((key, fields.get(key, value)) for key, value in code)  # type: ignore[union-attr, str-unpack]
    program = dump((version, forward, (name, table, schema)))  # type: ignore[arg-type]
    return archive_of(tmp_path / "m.ptl", *(records | {"archive/bytecode.pkl": program}).items())


def steps_of(records: dict[str, bytes]) -> list[object]:
    _, _, (_, code, _) = load(records["archive/bytecode.pkl"])  # type: ignore[misc]
    return list(dict(code)["instructions"])  # type: ignore[arg-type, call-overload]


def test_what_is_written_is_read(tmp_path: Path, records: dict[str, bytes]) -> None:
    read(changed(tmp_path, records))


@pytest.mark.parametrize(
    ("at", "step"),
    [
        (-3, ("SET_ATTR", 2**30, 0)),  # torch would make so many attributes
        (-3, ("SET_ATTR", 0, 0)),
        (3, ("STOREN", 3, 1)),
        (2, ("OP", 1, 0)),
        (5, ("LOAD", 9000, 0)),
        (0, ("WARN", 0, 0)),
    ],
)
def test_other_steps_are_refused(tmp_path: Path, records: dict[str, bytes], at: int, step: tuple[object, ...]) -> None:
    steps = steps_of(records)
    steps[at] = step
    with pytest.raises(ArtifactError, match="does not only widen tensors"):
        read_archive(changed(tmp_path, records, instructions=tuple(steps)))


def test_other_operators_constants_and_registers_are_refused(tmp_path: Path, records: dict[str, bytes]) -> None:
    operators = (("prim::TupleUnpack", "", 1), ("aten::to", "dtype_layout", 5))
    for fields in ({"operators": operators}, {"constants": (7, False, None)}, {"constants": (6, 0, None)}):
        with pytest.raises(ArtifactError, match="does not only widen tensors"):
            read_archive(changed(tmp_path, records, **fields))
    with pytest.raises(ArtifactError, match="does not only widen tensors"):
        read_archive(changed(tmp_path, records, register_size=3))


def test_a_state_of_other_things_than_tensors_is_refused(tmp_path: Path, records: dict[str, bytes]) -> None:
    for state in (b"K\x07\x85", b"}", b"N\x85"):
        data = b"\x80\x02c__torch__\nLayers\n)\x81" + state + b"b."
        with pytest.raises(ArtifactError, match="would run while the file is being loaded"):
            read_archive(archive_of(tmp_path / "m.ptl", *(records | {"archive/data.pkl": data}).items()))


def test_an_object_inside_is_not_restored(tmp_path: Path, records: dict[str, bytes]) -> None:
    data = b"\x80\x02(c__torch__\nLayers\n)\x81)bK\x01t."
    with pytest.raises(ArtifactError, match="restored by code of its own"):
        read_archive(archive_of(tmp_path / "m.ptl", *(records | {"archive/data.pkl": data}).items()))
