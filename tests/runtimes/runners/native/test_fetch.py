"""Libraries out of wheels, AARs and directories: the right one, whole, for the right devices."""

from __future__ import annotations

import hashlib
from importlib import metadata as installed
from pathlib import Path

import pytest
from elf_files import glibc_library, shared
from fake_wheels import metadata, packed

from edgevit.errors import ArtifactError, UsageError
from export.recipe import Format
from runtimes.runners.native import fetch
from runtimes.runners.native.abis import ABIS
from runtimes.runners.native.fetch import Wanted, fetch_library
from runtimes.runners.native.runtimes_table import NATIVE
from runtimes.runners.native.store import find_library

HERE = next(abi for abi in ABIS.values() if abi.is_here)
ARM = ABIS["aarch64-linux"]
PHONE = ABIS["arm64-v8a"]
ONNX, TFLITE, PTE, PTL = (NATIVE[format] for format in (Format.ONNX, Format.TFLITE, Format.PTE, Format.PTL))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "runners"))
    return tmp_path / "runners"


@pytest.mark.parametrize("row", [ONNX, TFLITE])
def test_what_is_installed_here_is_taken_as_it_is(row: fetch.NativeRow) -> None:
    found = fetch_library(Wanted(HERE, row))
    (original,) = (path for path in installed.files(row.package) or [] if path.match(row.wheel_main))
    data = Path(str(original.locate())).read_bytes()
    assert found.main.read_bytes() == data
    assert found.record.main.sha256 == hashlib.sha256(data).hexdigest()
    assert found.record.version == installed.version(row.package)
    assert found == find_library(HERE, row.runtime, row.format)


def test_a_wheel_gives_the_library_and_what_it_needs_of_it(tmp_path: Path) -> None:
    main = shared(
        tmp_path / "main.so", ARM.name, soname="libtorch_cpu.so", needs=["libc10.so", "libgomp-1.so.1", "libc.so.6"]
    )
    c10 = shared(tmp_path / "c10.so", ARM.name, soname="libc10.so", needs=["libdeep.so", "libm.so.6"])
    others = [shared(tmp_path / f"{name}.so", ARM.name, needs=["libc.so.6"]) for name in ("deep", "gomp", "cuda")]
    wheel = packed(
        tmp_path / "torch-2.13.0-cp311-cp311-manylinux_2_28_aarch64.whl",
        {
            "torch/lib/libtorch_cpu.so": main, "torch/lib/libc10.so": c10, "torch/lib/libdeep.so": others[0],
            "torch.libs/libgomp-1.so.1": others[1], "torch/lib/libtorch_cuda.so": others[2],
            "elsewhere/libdeep.so": others[2], **metadata("torch", "2.13.0"),
        },
    )  # fmt: skip
    found = fetch_library(Wanted(ARM, PTL, sources=(wheel,)))
    assert found.main.name == "libtorch_cpu.so"
    assert sorted(path.name for path in found.paths[1:]) == ["libc10.so", "libdeep.so", "libgomp-1.so.1"]
    assert found.directory.joinpath("libdeep.so").read_bytes() == others[0].read_bytes()
    assert (found.record.version, found.record.origin) == ("2.13.0", wheel.name)


def test_what_is_missing_may_come_from_elsewhere(tmp_path: Path) -> None:
    main = shared(tmp_path / "main.so", PHONE.name, soname="libexecutorch_jni.so", needs=["libfbjni.so", "liblog.so"])
    jni = shared(tmp_path / "jni.so", PHONE.name, soname="libfbjni.so", needs=["libc.so"])
    aar = packed(
        tmp_path / "executorch-android-1.4.0.aar", {"jni/arm64-v8a/libexecutorch.so": main, "classes.jar": "x"}
    )
    other = packed(tmp_path / "fbjni-0.7.0.aar", {"jni/x86_64/libfbjni.so": main, "jni/arm64-v8a/libfbjni.so": jni})
    with pytest.raises(
        ArtifactError, match=r"'libexecutorch_jni\.so' from .* needs 'libfbjni\.so', which is not in it"
    ) as caught:
        fetch_library(Wanted(PHONE, PTE, sources=(aar,)))
    assert "add a --from with what holds libfbjni.so" in str(caught.value.hint)
    found = fetch_library(Wanted(PHONE, PTE, sources=(aar, other)))
    assert [path.name for path in found.paths] == ["libexecutorch_jni.so", "libfbjni.so"]
    assert found.paths[1].read_bytes() == jni.read_bytes()
    assert found.record.version == "1.4.0" and found.record.needs_glibc is None


def test_the_newest_glibc_that_any_file_needs_is_recorded(tmp_path: Path) -> None:
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
    old = glibc_library(
        tmp_path / "old" / "libonnxruntime.so.1", source="#include <stdlib.h>\nvoid* f(void) { return malloc(1); }"
    )
    found = fetch_library(Wanted(HERE, ONNX, "1.0", (old.parent,)))
    new = glibc_library(
        tmp_path / "new" / "libonnxruntime.so.1",
        source="#include <math.h>\ndouble f(double x) { return pow(x, x) + 1; }",
    )
    later = fetch_library(Wanted(HERE, ONNX, "1.0", (new.parent,)))
    assert found.record.needs_glibc is not None and later.record.needs_glibc is not None
    assert [*map(int, found.record.needs_glibc.split("."))] < [*map(int, later.record.needs_glibc.split("."))]


def test_the_version_that_a_package_tells_is_that_of_what_is_in_it(tmp_path: Path) -> None:
    main = shared(tmp_path / "main.so", ARM.name, needs=["libc.so.6"])
    name = "executorch_numpy_runtime/_core.abi3.so"
    told = metadata("executorch-numpy-runtime", "1.4.0", "for .pte files (ExecuTorch 1.3.1, CPU)")
    wheel = packed(tmp_path / "e.whl", {name: main, **told})
    assert fetch_library(Wanted(ARM, PTE, sources=(wheel,))).record.version == "1.3.1"
    assert fetch_library(Wanted(ARM, PTE, "1.4.0", (wheel,))).record.version == "1.3.1"
    with pytest.raises(UsageError, match=r"holds executorch 1\.4\.0, --version says 1\.3\.1"):
        fetch_library(Wanted(ARM, PTE, "1.3.1", (wheel,)))
    wheel = packed(tmp_path / "e.whl", {name: main, **metadata("executorch-numpy-runtime", "1.5.0", "no word")})
    assert fetch_library(Wanted(ARM, PTE, sources=(wheel,))).record.version == "1.5.0"


def test_without_a_version_it_is_asked_for(tmp_path: Path) -> None:
    main = shared(tmp_path / "main.so", PHONE.name, soname="libonnxruntime.so", needs=["libc.so"])
    aar = packed(tmp_path / "onnxruntime.aar", {"jni/arm64-v8a/libonnxruntime.so": main})
    with pytest.raises(UsageError, match="says which version of onnxruntime it is") as caught:
        fetch_library(Wanted(PHONE, ONNX, sources=(aar,)))
    assert caught.value.hint == "say it: --version 1.31.1"
    assert fetch_library(Wanted(PHONE, ONNX, "1.29.0", (aar,))).record.version == "1.29.0"


def test_libraries_of_another_abi_are_refused_and_leave_the_old_one(tmp_path: Path) -> None:
    good = shared(tmp_path / "good.so", PHONE.name, soname="libonnxruntime.so", needs=["libc.so"])
    old = fetch_library(
        Wanted(PHONE, ONNX, sources=(packed(tmp_path / "a-1.0.aar", {"jni/arm64-v8a/libonnxruntime.so": good}),))
    )
    for abi, needs, words in (
        ("x86_64", "libc.so", "x86-64, expected ARM"),
        ("aarch64-linux", "libc.so.6", "built for Linux"),
    ):
        bad = shared(tmp_path / "bad.so", abi, soname="libonnxruntime.so", needs=[needs])
        aar = packed(tmp_path / "b-2.0.aar", {"jni/arm64-v8a/libonnxruntime.so": bad})
        with pytest.raises(ArtifactError, match=words):
            fetch_library(Wanted(PHONE, ONNX, sources=(aar,)))
    damaged = packed(tmp_path / "b-2.0.aar", {"jni/arm64-v8a/libonnxruntime.so": "\x7fELF"})
    with pytest.raises(ArtifactError, match="damaged"):
        fetch_library(Wanted(PHONE, ONNX, sources=(damaged,)))
    assert find_library(PHONE, "onnxruntime", "onnx") == old
    aar = packed(tmp_path / "b-2.0.aar", {"jni/x86_64/libonnxruntime.so": good})
    with pytest.raises(UsageError, match=r"no library of onnxruntime: expected 'jni/arm64-v8a/") as caught:
        fetch_library(Wanted(PHONE, ONNX, sources=(aar,)))
    assert caught.value.hint == "it has it for x86_64"


def test_a_library_that_calls_itself_a_path_is_refused(tmp_path: Path) -> None:
    evil = shared(tmp_path / "evil.so", PHONE.name, soname="../../../../evil.so", needs=["libc.so"])
    aar = packed(tmp_path / "b-2.0.aar", {"jni/arm64-v8a/libonnxruntime.so": evil})
    with pytest.raises(ArtifactError, match="it leads elsewhere"):
        fetch_library(Wanted(PHONE, ONNX, sources=(aar,)))


def test_what_asks_for_ever_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MOST_FILES", 3)
    files = {
        f"jni/arm64-v8a/{name}": shared(tmp_path / name, PHONE.name, soname=name, needs=[f"lib{number + 1}.so"])
        for number, name in enumerate(("libonnxruntime.so", "lib1.so", "lib2.so", "lib3.so", "lib4.so"))
    }
    with pytest.raises(ArtifactError, match="needs more than 3 others"):
        fetch_library(Wanted(PHONE, ONNX, sources=(packed(tmp_path / "b-2.0.aar", files),)))


def test_libraries_that_ask_for_each_other_end(tmp_path: Path) -> None:
    one = shared(tmp_path / "one.so", PHONE.name, soname="libonnxruntime.so", needs=["libtwo.so"])
    two = shared(tmp_path / "two.so", PHONE.name, soname="libtwo.so", needs=["libonnxruntime.so", "libtwo.so"])
    aar = packed(tmp_path / "b-2.0.aar", {"jni/arm64-v8a/libonnxruntime.so": one, "jni/arm64-v8a/libtwo.so": two})
    assert len(fetch_library(Wanted(PHONE, ONNX, sources=(aar,))).paths) == 2


def test_two_candidates_are_not_guessed_between(tmp_path: Path) -> None:
    main = shared(tmp_path / "main.so", ARM.name, needs=["libc.so.6"])
    name = "onnxruntime/capi/libonnxruntime.so"
    wheel = packed(tmp_path / "a.whl", {f"{name}.1": main, f"{name}.2": main, **metadata("onnxruntime", "1.0")})
    with pytest.raises(UsageError, match=r"holds 2 of 'onnxruntime/capi/libonnxruntime\.so\*'"):
        fetch_library(Wanted(ARM, ONNX, sources=(wheel,)))


def test_torch_is_not_for_android(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="torch has no library for Android"):
        Wanted(PHONE, PTL, sources=(tmp_path,))
