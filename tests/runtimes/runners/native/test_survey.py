"""What there is for native runners, at a glance."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from native_rig import library, stored_program

from export.recipe import Format
from runtimes.runners.native import compilers, store
from runtimes.runners.native.abis import ABIS
from runtimes.runners.native.build import source_sha256
from runtimes.runners.native.runtimes_table import NATIVE
from runtimes.runners.native.store import Found, LinkedLibrary, StoredLibrary, keep_library, keep_program
from runtimes.runners.native.survey import AbiSurvey, survey_runners

ABI = "aarch64-linux"
FETCH = f"edgevit-export runner fetch --abi {ABI}"
BUILD = f"edgevit-export runner build --abi {ABI}"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "store"))
    return tmp_path / "store"


def kept_library(tmp_path: Path, runtime: str, version: str = "1.2.3", abi: str = ABI) -> Found[StoredLibrary]:
    made = library(tmp_path / "made" / runtime, runtime, version, "lib.so", "other.so")
    return keep_library(replace(made.record, abi=abi), made.paths)


def kept_program(tmp_path: Path, format: Format, linked: Found[StoredLibrary] | None = None) -> Path:
    made = stored_program(tmp_path / "made", NATIVE[format].program)
    told = linked and LinkedLibrary(
        runtime=linked.record.runtime, version=linked.record.version, sha256=linked.record.main.sha256
    )
    record = replace(made.record, abi=ABI, source_sha256=source_sha256(), linked=told)
    return keep_program(record, made.main).main


def seen(abi: str = ABI) -> AbiSurvey:
    (found,) = (each for each in survey_runners().abis if each.abi == abi)
    return found


def test_from_nothing_all_abis_are_told_and_nothing_is_lacking(home: Path) -> None:
    found = survey_runners()
    assert (found.home, found.problem) == (str(home), "")
    assert [each.abi for each in found.abis] == list(ABIS)
    assert all((each.stored, each.formats, each.mend) == ((), (), "") for each in found.abis)


def test_what_runs_and_what_lacks_its_other_half(tmp_path: Path) -> None:
    kept_library(tmp_path, "onnxruntime")
    assert (seen().formats, seen().mend) == ((), BUILD)
    kept_program(tmp_path, Format.ONNX)
    assert (seen().formats, seen().mend) == ((Format.ONNX,), ""), "nobody asked for LiteRT"
    assert [(row.name, row.version) for row in seen().stored] == [("edgevit-runner", None), ("onnxruntime", "1.2.3")]
    executorch = kept_library(tmp_path, "executorch")
    assert (seen().formats, seen().mend) == ((Format.ONNX,), BUILD)
    kept_program(tmp_path, Format.PTE, executorch)
    assert (set(seen().formats), seen().mend) == ({Format.ONNX, Format.PTE}, "")
    kept_library(tmp_path, "executorch-headers").main.write_bytes(b"damaged")
    assert seen().mend == f"{FETCH} --format pte", "headers come with their library"


def test_programs_without_any_library(tmp_path: Path) -> None:
    kept_program(tmp_path, Format.ONNX)
    assert seen().mend == f"{FETCH} --format onnx,tflite"
    torch = kept_library(tmp_path, "torch")
    kept_program(tmp_path, Format.PTL, torch)
    (torch.directory.parent / "record.json").unlink()
    assert seen().mend == f"{FETCH} --format onnx,tflite && {FETCH} --format ptl --from FILE.whl && {BUILD}"


def test_what_was_changed_is_found_and_what_was_not_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, glibc = kept_library(tmp_path, "onnxruntime"), kept_library(tmp_path, "glibc", "2.36")
    kept_program(tmp_path, Format.ONNX)
    hashed: list[Path] = []
    sha256_file = store.sha256_file
    monkeypatch.setattr(store, "sha256_file", lambda path: hashed.append(path) or sha256_file(path))  # type: ignore[func-returns-value]
    assert all(not row.problem for row in seen().stored) and hashed == []
    told = kept.main.stat()
    os.utime(kept.main, ns=(told.st_atime_ns, told.st_mtime_ns + 10**12))
    assert all(not row.problem for row in seen().stored) and hashed == [kept.main], "touched, and still the same"
    kept.main.write_bytes(kept.main.read_bytes()[::-1])
    os.utime(kept.main, ns=(told.st_atime_ns, told.st_mtime_ns + 10**12))
    assert [row.name for row in seen().stored if "is damaged" in row.problem] == ["onnxruntime"]
    glibc.paths[1].write_bytes(b"cut")
    assert (seen().formats, seen().mend) == ((), f"{FETCH} --format onnx && {FETCH} --glibc")


def test_what_builds_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in (*compilers.NDK_VARIABLES, "CXX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(compilers.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert seen().builds and not seen("arm64-v8a").builds
    assert (
        seen("arm64-v8a").why_not.startswith("no NDK of Android was named") and "--ndk DIR" in seen("arm64-v8a").install
    )
    toolchain = tmp_path / "ndk" / "build" / "cmake" / "android.toolchain.cmake"
    toolchain.parent.mkdir(parents=True)
    toolchain.touch()
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "ndk"))
    assert seen("arm64-v8a").builds
    monkeypatch.setattr(compilers.shutil, "which", lambda name: None)
    assert {each.why_not for each in survey_runners().abis} == {"'cmake' is not installed"}
    assert {each.install for each in survey_runners().abis} == {"apt-get install cmake"}


def test_a_user_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("EDGEVIT_RUNNERS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)

    def nobody() -> Path:
        raise RuntimeError("no such user")

    monkeypatch.setattr(Path, "home", nobody)
    found = survey_runners()
    assert found.home is None and "set EDGEVIT_RUNNERS" in found.problem and len(found.abis) == len(ABIS)
