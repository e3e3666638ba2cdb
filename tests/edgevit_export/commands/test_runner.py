"""``runner build``, ``fetch`` and ``list``, as they are typed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from elf_files import require, shared
from fake_wheels import packed
from native_project import small_project

from edgevit_export.__main__ import run
from runtimes.runners.native import build, listing
from runtimes.runners.native.abis import ABIS
from runtimes.runners.native.store import StoredLibrary, find_library, find_program, keep_library, stored_file

FOLDER = str(Path(__file__).parent)
HERE = next(abi for abi in ABIS.values() if abi.is_here)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "runners"))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "runners"


def aar(tmp_path: Path, *, version: str = "1.2.3") -> Path:
    files = {
        f"jni/{abi}/libonnxruntime.so": shared(
            tmp_path / f"{abi}.so", abi, soname="libonnxruntime.so", needs=["libc.so"]
        )
        for abi in ("arm64-v8a", "x86_64")
    }
    return packed(tmp_path / f"onnxruntime-android-{version}.aar", files)


def test_fetch_list_and_what_mends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = aar(tmp_path)
    assert run(["runner", "fetch", "--abi", "arm64-v8a,x86_64", "--format", "onnx", "--from", str(path)]) == 0
    table = capsys.readouterr().out
    assert [line.split()[:3] for line in table.splitlines()[2:]] == [
        ["onnxruntime", "arm64-v8a", "1.2.3"], ["onnxruntime", "x86_64", "1.2.3"],
    ]  # fmt: skip
    assert run(["runner", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema_version"] == 1
    assert [(row["abi"], row["name"], row["version"], row["problem"]) for row in told["runners"]] == [
        ("arm64-v8a", "onnxruntime", "1.2.3", ""), ("x86_64", "onnxruntime", "1.2.3", ""),
    ]  # fmt: skip
    found = find_library(ABIS["x86_64"], "onnxruntime", "onnx")
    assert found is not None and told["runners"][1]["sha256"] == found.record.main.sha256
    found.main.write_bytes(b"damaged")
    assert run(["runner", "list"]) == 1, "CI need not read the table"
    shown = capsys.readouterr().out
    assert "  edgevit-export runner fetch --abi x86_64 --format onnx" in shown.splitlines()
    assert [line.split()[-1] for line in shown.splitlines()[2:4]] == ["yes", "no"]
    assert all(len(line) <= 80 or line.startswith("onnxruntime for") for line in shown.splitlines())


def told_json(words: list[str], capfd: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, object]]]:
    assert run(["runner", *words, "--json"]) == 0
    told: dict[str, list[dict[str, object]]] = json.loads(capfd.readouterr().out)
    assert told.pop("schema_version") == 1
    return told


def test_fetch_tells_scripts_what_list_tells_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["fetch", "--abi", "arm64-v8a,x86_64", "--format", "onnx", "--from", str(aar(tmp_path))]
    assert run(["runner", *words, "--json"]) == 0
    seen = capfd.readouterr()
    assert "fetching onnxruntime for arm64-v8a" in seen.err and "next:" not in seen.err
    told = json.loads(seen.out)["runners"]
    assert [row["abi"] for row in told] == ["arm64-v8a", "x86_64"]
    assert told == told_json(["list"], capfd)["runners"]
    assert run(["runner", "fetch", "--abi", "x86_64", "-f", "onnx", "--from", "gone.aar", "--json"]) == 2
    assert "gone.aar" in json.loads(capfd.readouterr().out)["error"]["message"]


def test_headers_that_are_fetched_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a fetch puts into the store beside the library is as much there as the library."""
    path = packed(
        tmp_path / "executorch-android-1.3.1.aar",
        {"jni/x86_64/libexecutorch.so": shared(tmp_path / "e.so", "x86_64", soname="libexecutorch.so")},
    )
    kept = StoredLibrary(
        runtime="executorch-headers", version="1.3.1", abi="x86_64", files=(stored_file(path),), origin="e.whl"
    )
    monkeypatch.setattr("runtimes.runners.native.headers.keep_headers", lambda *_: keep_library(kept, (path,)))
    words = ["fetch", "--abi", "x86_64", "-f", "pte", "--from", str(path)]
    told = told_json(words, capfd)["runners"]
    assert [row["name"] for row in told] == ["executorch", "executorch-headers"]
    assert told == told_json(["list"], capfd)["runners"]
    assert run(["runner", *words]) == 0
    assert "executorch-headers" in capfd.readouterr().out


def test_an_empty_store_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runner", "list"]) == 0
    assert str(home) in capsys.readouterr().out
    assert run(["runner", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "runners": []}
    assert run(["runner"]) == 0
    assert "fetch" in capsys.readouterr().out


def test_build_for_this_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    require("cmake", "g++")
    project = small_project(tmp_path / "source")
    monkeypatch.setattr(build, "SOURCE", project)
    monkeypatch.setattr(listing, "source_sha256", lambda: build.source_sha256(project))
    assert told_json(["list"], capfd) == {"runners": []}
    built = told_json(["build", "--abi", HERE.name], capfd)
    assert built["runners"] == told_json(["list"], capfd)["runners"] != []
    fetch = f"edgevit-export runner fetch --abi {HERE.name} --format"
    assert [(left["abi"], left["name"], left["hint"]) for left in built["not_built"]] == [
        (HERE.name, "edgevit-runner-executorch", f"{fetch} pte"), (HERE.name, "edgevit-runner-torch", f"{fetch} ptl"),
    ]  # fmt: skip
    assert run(["runner", "build", "--abi", HERE.name]) == 0
    told = capfd.readouterr()
    found = find_program(HERE, "edgevit-runner")
    assert found is not None and found.record.file.sha256[:8] in told.out
    assert "not built: edgevit-runner-torch" in told.err and f"next: {fetch} ptl" in told.err.splitlines()
    assert subprocess.check_output([str(found.main)], text=True) == "hello\n"
    (tmp_path / "source" / "main.cpp").write_text("int main() { return unknown_name; }\n")
    assert run(["runner", "build", "--abi", HERE.name]) == 5
    told = capfd.readouterr()
    assert told.out == "" and "unknown_name" in told.err
    assert told.err.count("error: edgevit-runner cannot be compiled") == 1
    assert find_program(HERE, "edgevit-runner") == found


@pytest.mark.parametrize(
    ("words", "code", "says", "offers"),
    [
        (["fetch", "--abi", "arm64"], 2, "unknown ABI 'arm64'", "arm64-v8a"),
        (["fetch", "--abi", "arm64-v8a"], 2, "neither --format nor --glibc was given", "--format onnx,tflite"),
        (["fetch", "--abi", "arm64-v8a", "--format", "onx"], 2, "unknown format 'onx'", "onnx"),
        (["fetch", "--abi", "x86_64", "-f", "onnx,pte", "--version", "1"], 2, "--version is for one", "--format onnx"),
        (["fetch", "--abi", "x86_64", "--glibc", "--from", "a.whl"], 2, "--from is for one format", "names none"),
        (["fetch", "--abi", "arm64-v8a", "--format", "ptl"], 2, "torch has no library for Android", "--runner tool"),
        (["fetch", "--abi", "arm64-v8a", "--glibc"], 2, "--glibc is for Linux", "--abi aarch64-linux --glibc"),
        (["fetch", "--abi", "x86_64-linux", "-f", "onnx", "--from", FOLDER], 2, "holds no library", "a wheel of"),
        (["fetch", "--abi", "x86_64-linux", "--format", "onnx", "--from", "missing.whl"], 2, "does not exist", ""),
        (["build", "--abi", "arm64-v8a"], 3, "no NDK of Android was named", "--ndk DIR"),
        (["build", "--abi", "arm64-v8a", "--ndk", "."], 2, "is no NDK", "developer.android.com"),
        (["build", "--abi", "x86_64-linux", "--ndk", "."], 2, "--ndk is for Android", "leave --ndk out"),
        (["build", "--abi", "x86_64-linux", "-f", "pte"], 3, "was not fetched", "--abi x86_64-linux --format pte"),
        (["build", "--abi", ""], 2, "--abi is empty", "aarch64-linux"),
        (["fetch", "--abi", " ", "--format", "onnx"], 2, "--abi is empty", "aarch64-linux"),
        (["build", "--abi", "x86_64"], 3, "no NDK of Android was named", "for Linux: --abi x86_64-linux"),
        (["fetch", "--abi", "arm64-v8a", "-f", "onnx", "--version", "1.0; x"], 2, "'1.0; x' is no version", "1.31.1"),
        (["fetch", "--abi", "arm64-v8a", "-f", "onnx", "--version", ""], 2, "'' is no version", "1.31.1"),
        (["biuld"], 2, "biuld", "did you mean 'edgevit-export runner build'?"),
    ],
)  # fmt: skip
def test_a_wrong_request_says_what_instead(
    words: list[str],
    code: int,
    says: str,
    offers: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for variable in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    assert run(["runner", *words]) == code
    told = capfd.readouterr().err
    assert says in told and offers in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fetch", "--abi", "x86_64-linux,arm64-v8a", "-f", "onnx,ptl"], "torch has no library for Android"),
        (["fetch", "--abi", "x86_64-linux,arm64-v8a", "-f", "onnx", "--glibc"], "--glibc is for Linux"),
        (["fetch", "--abi", "x86_64-linux", "-f", "onnx", "--version", "newest"], "'newest' is no version"),
        (["build", "--abi", "x86_64-linux,arm64-v8a"], "no NDK of Android was named"),
        (["build", "--abi", "x86_64-linux,arm64-v8a", "-f", "ptl"], "edgevit-runner-torch (for .ptl) is linked with"),
    ],
)
def test_what_cannot_be_done_is_said_before_minutes_go_into_the_rest(
    words: list[str], says: str, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for variable in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    assert run(["runner", *words]) in (2, 3)
    told = capfd.readouterr().err
    assert says in told and not any(begun in told for begun in ("fetching", "compiling")) and not home.exists()


@pytest.mark.parametrize("words", [[], ["build"], ["fetch"], ["list"]], ids=str)
def test_help_fits_80_columns_and_commands_are_told_in_whole_sentences(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["runner", *words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines()) and "..." not in shown.replace("[ARGS]...", "")


def test_glibc_is_bundled(capsys: pytest.CaptureFixture[str]) -> None:
    require("g++")
    assert run(["runner", "fetch", "--abi", HERE.name, "--glibc"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[:2] == ["glibc", HERE.name]
    assert find_library(HERE, "glibc", "onnx") is not None
