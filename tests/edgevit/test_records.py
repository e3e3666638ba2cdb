"""Records keep what they were given through JSON, and a file is replaced whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from small_disk import mounted

from edgevit.errors import ArtifactError, EdgevitExportError, FailureError, ImpossibleError, MeterError, UsageError
from edgevit.records import (
    Record,
    atomic_path,
    failure_to_write,
    read_json,
    require_writable,
    sha256_file,
    writing,
)


class Cup(Record):
    size_ml: int
    label: str = ""


def test_a_record_survives_storage(tmp_path: Path) -> None:
    cup = Cup(size_ml=200, label="größer")
    cup.save(tmp_path / "cup.json")
    assert Cup.load(tmp_path / "cup.json") == cup
    assert cup.to_json() == '{\n  "size_ml": 200,\n  "label": "größer"\n}\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not a valid Cup record"),
        ('{"size_ml": "200"}', r"Expected `int`, got `str` - at `\$.size_ml`"),
        ('{"size_ml": 1, "handle": true}', "unknown field `handle`"),
        ("{}", "missing required field `size_ml`"),
    ],
)
def test_what_is_no_such_record_is_refused_by_field(text: str, words: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        Cup.from_json(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"\xff": 1}', r"byte 3 \(line 1\) is 0xff"),
        (b'{"size_ml": 1, "label": "\xff"}', "is no UTF-8 text"),
        (b'{"size_ml": 1, "label": "\\ud800"}', "truncated|surrogate"),
        ('{"size_ml": 1, "label": "\ud800"}', "surrogates not allowed"),
        ('{"size_ml": ' + "9" * 400 + "}", r"an integer has more than 64 bits - at `\$.size_ml`"),
        ('{"size_ml": ' + "9" * 5000 + "}", "out of range"),
        ('{"size_ml": NaN}', "malformed"),
        ('{"size_ml": 1e999}', "Number out of range"),
        ('{"size_ml": ' + "[" * 100_000, "not a valid Cup record"),
        ('{"size_ml": 1, "\\u001b[2J": 1}', r"unknown field `\\x1b\[2J`"),
        ("{'size_ml': 1}", "malformed"),
        ("", "truncated"),
    ],
)
def test_what_is_no_json_is_refused_in_our_own_words(text: str | bytes, words: str) -> None:
    with pytest.raises(MeterError, match=words) as refused:
        Cup.from_json(text, origin="a\x1bb.json", failure=MeterError)
    assert refused.value.message.startswith(r"a\x1bb.json is ") and refused.value.message.isprintable()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_records_in_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "cup.json").write_text('{"size_ml": 200, "label": "größer"}', encoding=encoding)
    assert Cup.load(tmp_path / "cup.json") == Cup(size_ml=200, label="größer")


class Glass(Record):
    stem_mm: float

    def __post_init__(self) -> None:
        if self.stem_mm < 0:
            raise ImpossibleError(f"a stem of {self.stem_mm:g} mm")


class Shelf(Record):
    glasses: tuple[Glass, ...] = ()
    dated: Dated | None = None
    schema_version: Literal[1, 2] = 2


class Dated(Record):
    schema_version: Literal[1] = 1
    day: str = ""


def test_what_cannot_be_is_refused_with_its_field_and_as_one_of_our_errors() -> None:
    with pytest.raises(ArtifactError, match=r"x is not a valid Shelf record: a stem of -2 mm - at `\$.glasses\[1\]`"):
        Shelf.from_json('{"glasses": [{"stem_mm": 1}, {"stem_mm": -2}]}', origin="x")
    with pytest.raises(EdgevitExportError, match="a stem of -1 mm"):
        Glass(stem_mm=-1)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('{"schema_version": 3, "glasses": []}', 3),
        ('{"plates": 4, "schema_version": 17}', 17),
        ('{"dated": {"schema_version": 2, "hour": 1}}', 2),
    ],
)
def test_a_record_of_a_newer_version_is_told_so(text: str, version: int) -> None:
    with pytest.raises(ArtifactError, match=rf"x is a Shelf record of a newer version \({version}\)") as newer:
        Shelf.from_json(text, origin="x")
    assert newer.value.hint == "update edgevit-export"


@pytest.mark.parametrize("version", ["0", "-1", '"2"', "2.5", "null", "9" * 400])
def test_a_version_that_never_was_is_none_to_come(version: str) -> None:
    with pytest.raises(ArtifactError, match="not a valid Shelf record"):
        Shelf.from_json(f'{{"schema_version": {version}}}')


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"cannot read .*none\.json"):
        Cup.load(tmp_path / "none.json")


def test_records_are_frozen_and_take_names_only() -> None:
    with pytest.raises(TypeError):
        Cup(200)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Cup(size_ml=1).size_ml = 2  # type: ignore[misc]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".txt"
        raise KeyboardInterrupt
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kept.txt", "old")]
    with atomic_path(path) as temporary:
        temporary.write_text("new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kept.txt", "new")]


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_what_stands_in_the_way_of_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "directory").mkdir()
    for name, why in (
        ("file/cup.json", f"{tmp_path / 'file'} is a file, not a directory"),
        ("file/a/b/cup.json", f"{tmp_path / 'file'} is a file, not a directory"),
        ("directory", "it is a directory"),
        ("x" * 300, "File name too long"),
    ):
        path = tmp_path / name
        with pytest.raises(UsageError) as caught, writing(path):
            Cup(size_ml=1).save(path)
        assert caught.value.message == f"cannot write {path}: {why}"
    assert (tmp_path / "file").read_text() == "kept" and not list((tmp_path / "directory").iterdir())
    with writing(tmp_path / "new" / "cup.json") as path:
        Cup(size_ml=1).save(path)
    assert Cup.load(path).size_ml == 1


def test_a_disk_that_fails_is_quoted(tmp_path: Path) -> None:
    with (
        pytest.raises(FailureError, match=r"cannot write .*cup.json: No space left on device"),
        writing(tmp_path / "cup.json"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, FailureError),
        (errno.EDQUOT, FailureError),
        (errno.EIO, FailureError),
        (errno.EFBIG, FailureError),
        (errno.EACCES, UsageError),
        (errno.EROFS, UsageError),
        (errno.ENAMETOOLONG, UsageError),
    ],
)
def test_who_can_help_decides_what_kind_of_error_it_is(
    number: int, kind: type[EdgevitExportError], tmp_path: Path
) -> None:
    def save(_: Path) -> None:
        raise OSError(number, os.strerror(number))

    error = failure_to_write(tmp_path / "cup.json", save)
    assert type(error) is kind
    assert failure_to_write(tmp_path / "cup.json", Cup(size_ml=1).save) is None
    assert Cup.load(tmp_path / "cup.json").size_ml == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_record_that_an_editor_saved_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "cup.json"
    path.write_bytes(Cup(size_ml=200, label="größer").to_json().encode(encoding))
    assert Cup.load(path) == Cup(size_ml=200, label="größer")


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "cup.json").write_bytes(b'{"size_ml": 1,\n"\xff": 1}')
    with pytest.raises(ArtifactError, match=r"cup\.json is no UTF-8 text: byte 17 \(line 2\) is 0xff"):
        Cup.load(tmp_path / "cup.json")


def test_a_name_that_is_no_text_is_written_as_it_is_shown(tmp_path: Path) -> None:
    Cup(size_ml=1, label=os.fsdecode(b"mod\xe8le")).save(tmp_path / "cup.json")
    assert Cup.load(tmp_path / "cup.json") == Cup(size_ml=1, label=r"mod\xe8le")


def test_a_link_stays_one_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.txt").symlink_to("there/file.txt")
    for text in ("made", "replaced"):
        with atomic_path(tmp_path / "link.txt") as temporary:
            assert temporary.parent == tmp_path / "there", "a rename works within one file system only"
            temporary.write_text(text)
        assert (tmp_path / "link.txt").is_symlink()
        assert (tmp_path / "there" / "file.txt").read_text() == text


def test_pipes_and_devices_are_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with atomic_path(pipe) as temporary:
        temporary.write_text("through")
    assert (os.read(reader, 100), pipe.is_fifo()) == (b"through", True)
    os.close(reader)
    (tmp_path / "null").symlink_to("/dev/null")
    with atomic_path(tmp_path / "null") as temporary:
        temporary.write_text("nothing")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"), atomic_path(Path("/dev/full")) as temporary:
        temporary.write_text("nothing")
    assert Path("/dev/full").is_char_device()


def test_an_open_descriptor_is_written_into_whatever_it_is(tmp_path: Path) -> None:
    """As ``--csv /dev/stdout > FILE``: what is written later must not go to a file without a name."""
    code = "import pathlib; from edgevit.records import atomic_path\n"
    code += "with atomic_path(pathlib.Path('/dev/stdout')) as path: path.write_text('first\\n')\n"
    with (tmp_path / "out").open("ab") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True, cwd=Path(__file__).parents[2])
        out.write(b"second\n")
    assert (tmp_path / "out").read_text() == "first\nsecond\n"


def test_a_name_that_just_fits_can_be_written(tmp_path: Path) -> None:
    for name in ("x" * 250 + ".json", "x." + "y" * 253):
        with atomic_path(tmp_path / name) as temporary:
            temporary.write_text(name)
        assert (tmp_path / name).read_text() == name


def test_what_the_disk_refuses_to_keep_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error"), atomic_path(path) as temporary:
        temporary.write_text("new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kept.txt", "old")]


def test_a_file_that_could_not_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "directory").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "a.csv")
    (tmp_path / "gone").symlink_to(tmp_path / "away")
    for name, why in (
        ("file/a.csv", f"{tmp_path / 'file'} is a file, not a directory"),
        ("directory", "it is a directory"),
        ("y" * 300, "File name too long"),
        ("gone/a.csv", f"{tmp_path / 'gone'} is a link to {tmp_path / 'away'}, which does not exist"),
    ):
        with pytest.raises(UsageError) as caught:
            require_writable(tmp_path / name)
        assert caught.value.message == f"cannot write {tmp_path / name}: {why}"
    for name in ("new/deep/a.csv", "file"):
        require_writable(tmp_path / name)
    require_writable(Path("/dev/null"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file", "gone", "new", "nowhere"]
    assert (tmp_path / "file").read_text() == "kept" and not list((tmp_path / "new" / "deep").iterdir())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount, and become another user")
def test_places_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_only, why = tmp_path / "read only", "Read-only file system"
    with mounted(read_only, size_kib=64, options=",ro"):
        with pytest.raises(UsageError, match=why):
            require_writable(read_only / "a.csv")
        with pytest.raises(UsageError, match=why), writing(read_only / "a.json") as path:
            Cup(size_ml=1).save(path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "closed").mkdir(mode=0o755)
    os.setresuid(65534, 65534, 0)
    try:
        with pytest.raises(UsageError, match=r"cannot write closed/a\.csv: Permission denied"):
            require_writable(Path("closed/a.csv"))
    finally:
        os.setresuid(0, 0, 0)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(ArtifactError, match="the key 'b' stands twice"):
        read_json('{"a": {"b": 1, "b": 2}}', dict[str, dict[str, int]], what="table", origin="t.json")
