"""Headers of the library's version: of this Python, of the store, or named; never others."""

from __future__ import annotations

from importlib import metadata as installed
from pathlib import Path

import pytest
from fake_wheels import metadata, packed

from edgevit.errors import ArtifactError, FailureError, MissingDependencyError, UsageError
from export.recipe import Format
from runtimes.runners.native.abis import ABIS
from runtimes.runners.native.headers import headers_for, keep_headers
from runtimes.runners.native.runtimes_table import NATIVE
from runtimes.runners.native.store import StoredFile, StoredLibrary, find_library, keep_library, stored_file

ABI = ABIS["aarch64-linux"]
PTE, PTL, ONNX = NATIVE[Format.PTE], NATIVE[Format.PTL], NATIVE[Format.ONNX]


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "runners"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def library(runtime: str, version: str) -> StoredLibrary:
    file = StoredFile(name="a.so", sha256="0" * 64, size_bytes=1)
    return StoredLibrary(runtime=runtime, version=version, abi=ABI.name, files=(file,), origin="a.whl")


def offer(index: Path, version: str) -> None:
    tags = "cp311-cp311-manylinux_2_28_x86_64"
    wheel = f"Wheel-Version: 1.0\nTag: {tags}\n"
    packed(
        index / f"executorch-{version}-{tags}.whl",
        {
            "executorch/include/executorch/runtime/a.h": f"#define MINOR {version}\n",
            "executorch/exir/a.py": "no header",
            f"executorch-{version}.dist-info/WHEEL": wheel,
            **metadata("executorch", version),
        },
    )


def test_those_of_this_python_serve_a_library_of_their_minor_version(tmp_path: Path) -> None:
    for row, package in ((PTE, "executorch"), (PTL, "torch")):
        version = installed.version(package)
        found = headers_for(library(row.runtime, version), ABI, row, None, tmp_path)
        place = str(installed.distribution(package).locate_file(package))
        assert found == Path(place) / "include" and found.is_dir()
        assert keep_headers(ABI, row, version) is None
    assert keep_headers(ABI, ONNX, "1.0") is None and list((tmp_path / "index").iterdir()) == []


def test_others_are_fetched_once_and_kept(index: Path, tmp_path: Path) -> None:
    for version in ("0.1.2", "0.1.3"):
        offer(index, version)
    kept = keep_headers(ABI, PTE, "0.1.2")
    assert kept is not None and kept == find_library(ABI, "executorch-headers", "pte")
    assert (kept.record.version, kept.record.origin) == (
        "0.1.2",
        "executorch-0.1.2-cp311-cp311-manylinux_2_28_x86_64.whl",
    )
    found = headers_for(library("executorch", "0.1.9"), ABI, PTE, None, tmp_path / "room")
    files = [path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()]
    assert files == ["executorch/runtime/a.h"] and (found / files[0]).read_text() == "#define MINOR 0.1.2\n"
    again = keep_headers(ABI, PTE, "0.1.2")
    assert again is not None and again.record.main.sha256 == kept.record.main.sha256


def test_headers_of_another_version_are_not_used(index: Path, tmp_path: Path) -> None:
    offer(index, "0.1.2")
    keep_headers(ABI, PTE, "0.1.2")
    with pytest.raises(
        MissingDependencyError, match=r"no headers of executorch 0\.2 for the library of 0\.2\.1"
    ) as caught:
        headers_for(library("executorch", "0.2.1"), ABI, PTE, None, tmp_path / "room")
    assert caught.value.hint == "edgevit-export runner fetch --abi aarch64-linux --format pte"
    with pytest.raises(MissingDependencyError, match=r"no headers of torch 0\.2") as caught:
        headers_for(library("torch", "0.2.1"), ABI, PTL, None, tmp_path / "room")
    assert "torch==0.2.1" in str(caught.value.hint) and "--include DIR" in str(caught.value.hint)
    with pytest.raises(FailureError, match=r"pip could not download executorch==0\.2\.2"):
        keep_headers(ABI, PTE, "0.2.2")


def test_a_folder_that_is_named_is_taken(tmp_path: Path) -> None:
    assert headers_for(library("executorch", "0.2.1"), ABI, PTE, tmp_path, tmp_path / "room") == tmp_path.resolve()
    with pytest.raises(UsageError, match="there is no such directory"):
        headers_for(library("executorch", "0.2.1"), ABI, PTE, tmp_path / "missing", tmp_path / "room")


@pytest.mark.parametrize("name", ["executorch/include/../../../up.h", "/etc/up.h", "other/up.h"])
def test_a_zip_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    path = packed(tmp_path / "headers.zip", {"executorch/include/a.h": "a", name: "up"})
    record = StoredLibrary(
        runtime="executorch-headers", version="0.1.2", abi=ABI.name, files=(stored_file(path),), origin="a"
    )
    keep_library(record, [path])
    with pytest.raises(ArtifactError, match="expected only what is in executorch/include/"):
        headers_for(library("executorch", "0.1.2"), ABI, PTE, None, tmp_path / "deep" / "room")
    assert not list(tmp_path.rglob("up.h"))


def test_a_wheel_without_headers_is_refused(index: Path) -> None:
    tags = "cp311-cp311-manylinux_2_28_x86_64"
    wheel = {"executorch-0.1.2.dist-info/WHEEL": f"Wheel-Version: 1.0\nTag: {tags}\n"}
    packed(index / f"executorch-0.1.2-{tags}.whl", {**metadata("executorch", "0.1.2"), **wheel})
    with pytest.raises(ArtifactError, match="holds no headers"):
        keep_headers(ABI, PTE, "0.1.2")
