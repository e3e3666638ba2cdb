"""Whether the native runner can be used, and the one command that is missing where it cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from latency_records import state as device_state
from msgspec.structs import replace
from native_rig import library, stored_program

from export.recipe import Format
from runtimes.conditions.device_state import DeviceState
from runtimes.devices.host import HostDevice
from runtimes.runners.native.build import source_sha256
from runtimes.runners.native.launch import NativeFiles
from runtimes.runners.native.runtimes_table import NATIVE
from runtimes.runners.native.store import LinkedLibrary, keep_library, keep_program
from runtimes.runners.native.usable import Missing, glibc_version, native_files, version_of

BOARD = replace(device_state(), abi="aarch64", android_version=None)
PHONE = replace(device_state(), abi="arm64-v8a", android_version="14")
FETCH = "edgevit-export runner fetch --abi aarch64-linux"
BUILD = "edgevit-export runner build --abi aarch64-linux"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "store"))


def keep(
    directory: Path, format: Format = Format.ONNX, *, program: bool = True, needs: str | None = None, **change: object
) -> None:
    """Put a library for boards into the store, and the program that opens it."""
    row = NATIVE[format]
    found = library(directory / "made" / row.runtime, row.runtime, "1.2.3", "libruntime.so")
    keep_library(replace(found.record, abi="aarch64-linux", needs_glibc=needs), found.paths)
    if not program:
        return
    made = stored_program(directory / "made", row.program)
    linked = LinkedLibrary(runtime=row.runtime, version="1.2.3", sha256=found.record.main.sha256)
    told = {"abi": "aarch64-linux", "source_sha256": source_sha256(), "linked": linked if row.linked else None}
    keep_program(replace(made.record, **{**told, **change}), made.main)


def missing(state: DeviceState = BOARD, format: Format = Format.ONNX, **asked: object) -> Missing:
    found = native_files(state, format, (2, 31), **asked)  # type: ignore[arg-type]
    assert isinstance(found, Missing)
    return found


def test_what_is_there_is_used(tmp_path: Path) -> None:
    keep(tmp_path, needs="2.31")
    found = native_files(BOARD, Format.ONNX, (2, 31))
    assert isinstance(found, NativeFiles) and found.glibc is None
    assert found.library.record.version == "1.2.3" and found.program.main.read_bytes() == b"program"


def test_from_nothing_it_takes_both_commands(tmp_path: Path) -> None:
    found = missing()
    assert (found.why, found.how) == (
        "no program and no library for aarch64-linux",
        f"{FETCH} --format onnx && {BUILD}",
    )
    keep(tmp_path)
    found = missing(format=Format.TFLITE)
    assert (found.why, found.how) == ("no library of LiteRT for aarch64-linux", f"{FETCH} --format tflite")
    shutil.rmtree(tmp_path / "store")
    keep(tmp_path, program=False)
    found = missing()
    assert (found.why, found.how) == ("no edgevit-runner for aarch64-linux", BUILD)


def test_what_several_formats_lack_is_one_line_of_commands() -> None:
    onnx, tflite = missing().lacking, missing(format=Format.TFLITE).lacking
    assert onnx is not None and tflite is not None
    assert (onnx | tflite).commands == f"{FETCH} --format onnx,tflite && {BUILD}"
    phone = [missing(PHONE, format).lacking for format in (Format.ONNX, Format.TFLITE)]
    assert phone[0] is not None and phone[1] is not None
    fetch = "edgevit-export runner fetch --abi arm64-v8a --format"
    assert (phone[0] | phone[1]).commands == (
        f"{fetch} onnx --from FILE.aar && {fetch} tflite --from FILE.aar && "
        "edgevit-export runner build --abi arm64-v8a --ndk DIR"
    )


def test_what_pypi_has_for_another_kind_of_machine_must_be_given() -> None:
    """Its torch for boards is built for CUDA: a line of commands with it in it would stop there."""
    found = missing(format=Format.PTL)
    assert found.lacking is None and found.how.startswith(f"{FETCH} --format ptl --from FILE.whl && {BUILD}; ")


def test_a_phone_needs_an_aar_and_an_ndk() -> None:
    found = missing(PHONE)
    assert found.how == (
        "edgevit-export runner fetch --abi arm64-v8a --format onnx --from FILE.aar && "
        "edgevit-export runner build --abi arm64-v8a --ndk DIR"
    )


def test_a_phone_can_take_a_linux_build_with_a_glibc_of_its_own(tmp_path: Path) -> None:
    assert "aarch64-linux" in missing(PHONE, own_glibc=True).why
    keep(tmp_path, needs="2.36")
    found = missing(PHONE, own_glibc=True)
    assert (found.why, found.how) == ("no glibc for aarch64-linux", f"{FETCH} --glibc")
    glibc = library(tmp_path / "made" / "glibc", "glibc", "2.36", "ld-linux-aarch64.so.1")
    keep_library(replace(glibc.record, abi="aarch64-linux"), glibc.paths)
    found = native_files(PHONE, Format.ONNX, None, own_glibc=True)
    assert isinstance(found, NativeFiles) and found.glibc is not None


def test_lite_files_have_no_library_on_phones() -> None:
    assert "tool" in missing(PHONE, Format.PTL).how


def test_a_program_of_other_sources_is_built_anew(tmp_path: Path) -> None:
    keep(tmp_path, source_sha256="0" * 64)
    found = missing()
    assert (found.why, found.how) == ("edgevit-runner for aarch64-linux is built from other sources", BUILD)


def test_a_program_is_only_good_for_the_library_that_it_is_linked_with(tmp_path: Path) -> None:
    other = LinkedLibrary(runtime="executorch", version="9.9.9", sha256="1" * 64)
    keep(tmp_path, Format.PTE, linked=other)
    found = missing(format=Format.PTE)
    assert "is linked with executorch 9.9.9, another one is there now" in found.why and found.how == BUILD
    keep(tmp_path, Format.PTE)
    assert isinstance(native_files(BOARD, Format.PTE, None), NativeFiles)


@pytest.mark.parametrize("what", ["library", "program"])
def test_what_is_too_new_for_the_devices_libc_is_found_out_before(tmp_path: Path, what: str) -> None:
    keep(
        tmp_path, needs="2.34" if what == "library" else None, **({"needs_glibc": "2.34"} if what == "program" else {})
    )
    found = missing()
    name = "libruntime.so" if what == "library" else "edgevit-runner"
    assert found.why == f"{name} needs glibc 2.34, the device has 2.31" and "native-glibc" in found.how
    assert isinstance(native_files(BOARD, Format.ONNX, (2, 34)), NativeFiles)
    assert isinstance(native_files(BOARD, Format.ONNX, None), NativeFiles), "a device that does not say is tried"


def test_a_damaged_store_is_told_with_what_mends_it(tmp_path: Path) -> None:
    keep(tmp_path)
    (path,) = (tmp_path / "store").rglob("libruntime.so")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    found = missing()
    assert "is damaged" in found.why and found.how == f"{FETCH} --format onnx"


def test_an_abi_that_nothing_is_built_for_lists_those_that_there_are() -> None:
    found = missing(replace(BOARD, abi="riscv64"))
    assert found.why == "none is built for riscv64" and "aarch64-linux" in found.how
    assert "unknown ABI" in missing(replace(BOARD, abi=None)).why


def test_this_hosts_glibc_says_its_version(tmp_path: Path) -> None:
    here = glibc_version(HostDevice(tmp_path), replace(device_state(), android_version=None))
    assert here is not None and here >= (2, 17)
    assert glibc_version(HostDevice(tmp_path), PHONE) is None


def test_versions_compare_as_numbers() -> None:
    assert (version_of("2.9") or ()) < (version_of("2.31") or ())
    assert version_of("2.x") is None and version_of("") is None
