"""The cache of programs and libraries: one of a name, whole or not there, and never another than was kept."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import pytest

from edgevit.errors import ArtifactError, FailureError, UsageError
from runtimes.runners.native import store
from runtimes.runners.native.abis import ABIS
from runtimes.runners.native.store import (
    Found,
    LinkedLibrary,
    StoredFile,
    StoredLibrary,
    StoredProgram,
    find_library,
    find_program,
    keep_library,
    keep_program,
    store_home,
    stored_file,
    stored_names,
    workplace,
)

ABI = ABIS["arm64-v8a"]
ROOT = Path(__file__).resolve().parents[4]
HASH = hashlib.sha256(b"x").hexdigest()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "runners"))
    return tmp_path / "runners"


def library(room: Path, version: str, **files: bytes) -> Found[StoredLibrary]:
    room.mkdir(exist_ok=True)
    paths = []
    for name, data in files.items():
        paths.append(room / f"{name}.so")
        paths[-1].write_bytes(data)
    record = StoredLibrary(
        runtime="onnxruntime", version=version, abi=ABI.name, files=tuple(map(stored_file, paths)), origin="a.aar"
    )
    return keep_library(record, paths)


def program(room: Path, data: bytes = b"program") -> Found[StoredProgram]:
    (room / "edgevit-runner").write_bytes(data)
    record = StoredProgram(
        name="edgevit-runner", abi=ABI.name, file=stored_file(room / "edgevit-runner"), source_sha256=HASH,
        request_version=4,
        compiler="Clang 18", linked=LinkedLibrary(runtime="torch", version="1", sha256=HASH),
    )  # fmt: skip
    return keep_program(record, room / "edgevit-runner")


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert store_home() == tmp_path / "runners"
    monkeypatch.delenv("EDGEVIT_RUNNERS")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert store_home() == Path("/x/edgevit-export/runners")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/h")
    assert store_home() == Path("/h/.cache/edgevit-export/runners")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(UsageError, match="no home") as caught:
        store_home()
    assert "EDGEVIT_RUNNERS" in str(caught.value.hint)


def test_what_is_kept_is_found_and_nothing_else_is(tmp_path: Path) -> None:
    assert find_library(ABI, "onnxruntime", "onnx") is None and stored_names(ABI, "libraries") == []
    kept = library(tmp_path / "a", "1", main=b"main", other=b"other")
    found = find_library(ABI, "onnxruntime", "onnx")
    assert found == kept
    assert [path.read_bytes() for path in found.paths] == [b"main", b"other"] and found.main == found.paths[0]
    assert found.record.main.sha256 == hashlib.sha256(b"main").hexdigest()
    assert find_library(ABIS["x86_64"], "onnxruntime", "onnx") is None
    assert find_program(ABI, "edgevit-runner") is None
    built = program(tmp_path)
    assert find_program(ABI, "edgevit-runner") == built and os.access(built.main, os.X_OK)
    assert (stored_names(ABI, "programs"), stored_names(ABI, "libraries")) == (["edgevit-runner"], ["onnxruntime"])


def test_a_new_one_takes_the_place_of_the_old_one(tmp_path: Path, home: Path) -> None:
    old = library(tmp_path / "a", "1", main=b"old", more=b"more")
    new = library(tmp_path / "b", "2", main=b"new")
    assert find_library(ABI, "onnxruntime", "onnx") == new and not old.directory.exists()
    assert sorted(path.name for path in new.directory.parent.iterdir()) == sorted([new.directory.name, "record.json"])
    again = library(tmp_path / "b", "2", main=b"new")
    assert again == new == find_library(ABI, "onnxruntime", "onnx")


def test_one_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = library(tmp_path / "a", "1", main=b"old")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(FailureError, match="No space left"):
            library(tmp_path / "b", "2", main=b"new")
    assert find_library(ABI, "onnxruntime", "onnx") == old
    with monkeypatch.context() as patch:
        patch.setattr(StoredLibrary, "save", full)
        with pytest.raises(FailureError, match="No space left"):
            library(tmp_path / "b", "2", main=b"new")
    assert find_library(ABI, "onnxruntime", "onnx") == old
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "main.so").write_bytes(b"new")
    record = StoredLibrary(
        runtime="onnxruntime", version="2", abi=ABI.name,
        files=(StoredFile(name="main.so", sha256=HASH, size_bytes=3),),
        origin="a.aar",
    )  # fmt: skip
    with pytest.raises(ArtifactError, match="is damaged"):
        keep_library(record, [tmp_path / "c" / "main.so"])
    assert find_library(ABI, "onnxruntime", "onnx") == old


def test_one_that_is_killed_leaves_the_old_one_or_is_whole(tmp_path: Path, home: Path) -> None:
    library(tmp_path / "a", "0", main=b"0" * 9)
    text = (
        "import sys; from pathlib import Path\n"
        "from runtimes.runners.native.store import *\n"
        "room = Path(sys.argv[1]); number = 0\n"
        "while True:\n"
        "    number += 1; path = room / 'main.so'; path.write_bytes(str(number).encode() * 100000)\n"
        "    keep_library(StoredLibrary(runtime='onnxruntime', version=str(number), abi='arm64-v8a',\n"
        "        files=(stored_file(path),), origin='a'), [path])\n"
        "    print(number, flush=True)\n"
    )
    for delay_s in (0.0, 0.002, 0.005, 0.009, 0.014, 0.02):
        process = subprocess.Popen([sys.executable, "-c", text, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = find_library(ABI, "onnxruntime", "onnx")
        assert found is not None and found.main.read_bytes().startswith(found.record.version.encode())
    last = library(tmp_path / "a", "0", main=b"0" * 9)
    assert sorted(path.name for path in last.directory.parent.iterdir()) == sorted([last.directory.name, "record.json"])


def test_what_was_damaged_is_an_error_with_the_command_that_mends_it(tmp_path: Path) -> None:
    kept = library(tmp_path / "a", "1", main=b"main", other=b"other")
    hint = "edgevit-export runner fetch --abi arm64-v8a --format onnx"
    for damage, words in (
        (lambda: kept.paths[1].write_bytes(b"0ther"), "is damaged: its SHA-256 is"),
        (lambda: kept.main.write_bytes(b"longer"), "has 6 bytes, its record says 4"),
        (kept.main.unlink, "cannot read .*main.so"),
        (lambda: (kept.directory.parent / "record.json").write_text("{}"), "not a valid StoredLibrary record"),
        (lambda: (kept.directory.parent / "record.json").write_bytes(b"\xff"), "no UTF-8"),
    ):
        damage()
        with pytest.raises(ArtifactError, match=words) as caught:
            find_library(ABI, "onnxruntime", "onnx")
        assert caught.value.hint == hint
        assert library(tmp_path / "a", "1", main=b"main", other=b"other") == find_library(ABI, "onnxruntime", "onnx")
    built = program(tmp_path)
    built.main.write_bytes(b"pr0gram")
    with pytest.raises(ArtifactError) as caught:
        find_program(ABI, "edgevit-runner")
    assert caught.value.hint == "edgevit-export runner build --abi arm64-v8a"


def test_glibc_is_mended_by_its_own_option() -> None:
    path = store_home() / "aarch64-linux" / "libraries" / "glibc" / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(ArtifactError) as caught:
        find_library(ABIS["aarch64-linux"], "glibc", "glibc")
    assert caught.value.hint == "edgevit-export runner fetch --abi aarch64-linux --glibc"


def test_a_record_of_something_else_is_refused(tmp_path: Path) -> None:
    kept = library(tmp_path / "a", "1", main=b"main")
    other = kept.directory.parent.with_name("litert")
    shutil.copytree(kept.directory.parent, other)
    with pytest.raises(ArtifactError, match="the record of onnxruntime for arm64-v8a"):
        find_library(ABI, "litert", "tflite")
    shutil.copytree(kept.directory.parents[2], store_home() / "x86_64")
    with pytest.raises(ArtifactError, match="the record of onnxruntime for arm64-v8a"):
        find_library(ABIS["x86_64"], "onnxruntime", "onnx")


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "../../a"), ("name", "/etc/passwd"), ("name", ""), ("sha256", "x" * 64), ("size_bytes", -1)],
)
def test_records_that_lead_elsewhere_are_refused(field: str, value: object, tmp_path: Path) -> None:
    kept = library(tmp_path / "a", "1", main=b"main")
    path = kept.directory.parent / "record.json"
    seen = {"name": '"main.so"', "sha256": f'"{kept.record.main.sha256}"', "size_bytes": "4"}
    text = path.read_text()
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    assert f'"{field}": {seen[field]}' in text
    path.write_text(text.replace(f'"{field}": {seen[field]}', f'"{field}": {shown}'))
    with pytest.raises(ArtifactError):
        find_library(ABI, "onnxruntime", "onnx")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "file" / "below"))
    with pytest.raises(UsageError, match="file is a file, not a directory") as making, workplace():
        raise AssertionError
    with pytest.raises(UsageError, match="file is a file, not a directory") as keeping:
        library(tmp_path / "a", "1", main=b"main")
    assert making.value.hint == keeping.value.hint == "set EDGEVIT_RUNNERS to a directory that you may write to"


def test_a_workplace_is_gone_afterwards(home: Path) -> None:
    with workplace() as room:
        (room / "a").write_text("a")
        assert room.parent == home
    assert list(home.iterdir()) == []


def test_two_at_once_leave_one_whole(tmp_path: Path) -> None:
    text = (
        "import sys; from pathlib import Path\n"
        "from runtimes.runners.native.store import *\n"
        "room = Path(sys.argv[1]); room.mkdir(); path = room / 'main.so'\n"
        "for number in range(30):\n"
        "    path.write_bytes((sys.argv[2] + str(number)).encode() * 1000)\n"
        "    keep_library(StoredLibrary(runtime='onnxruntime', version=sys.argv[2] + str(number), abi='arm64-v8a',\n"
        "        files=(stored_file(path),), origin='a'), [path])\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", text, str(tmp_path / name), name], cwd=ROOT) for name in "ab"]
    assert [process.wait() for process in both] == [0, 0]
    found = find_library(ABI, "onnxruntime", "onnx")
    assert found is not None and found.main.read_bytes().startswith(found.record.version.encode())
    assert len(list(found.directory.parent.iterdir())) == 2
    assert store.RECORD_FILE in {path.name for path in found.directory.parent.iterdir()}


@pytest.mark.parametrize("kind", ["programs", "libraries"])
def test_a_store_that_cannot_be_read_is_not_empty(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, kind: Literal["programs", "libraries"]
) -> None:
    library(tmp_path / "a", "1", main=b"main")
    place = home / ABI.name / "libraries" / "onnxruntime" / "record.json"
    look = Path.lstat

    def denied(path: Path) -> os.stat_result:
        if path == place:
            raise PermissionError(errno.EACCES, "Permission denied")
        return look(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", denied)
        assert stored_names(ABI, "libraries") == ["onnxruntime"], "what cannot be looked at is there"
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "a" / "main"))
    (tmp_path / "a" / "main").write_bytes(b"a file")
    with pytest.raises(UsageError, match=r"cannot read .*: Not a directory") as caught:
        stored_names(ABI, kind)
    assert "EDGEVIT_RUNNERS" in str(caught.value.hint)
