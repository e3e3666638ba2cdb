"""ELF files: read as binutils read them, and refused in words when they are damaged."""

from __future__ import annotations

import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest
from elf_files import TARGETS, glibc_library, readelf_says, require, shared

from edgevit.errors import ArtifactError
from runtimes.runners.native.elf import read_elf, version_key


def in_package(package: str, pattern: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    (path,) = Path(spec.submodule_search_locations[0]).glob(pattern)
    return path


def large() -> list[Path]:
    return [
        in_package("onnxruntime", "capi/libonnxruntime.so.*"),
        in_package("ai_edge_litert", "libLiteRt.so"),
        in_package("torch", "lib/libc10.so"),
        Path(sys.executable).resolve(),
    ]


@pytest.mark.parametrize("number", range(4))
def test_real_files_read_as_by_readelf(number: int) -> None:
    path = large()[number]
    told, seen = readelf_says(path), read_elf(path)
    assert (seen.soname, seen.needed, set(seen.versions)) == (told["soname"], told["needed"], told["versions"])
    assert seen.kind == ("program" if path == Path(sys.executable).resolve() else "library")


@pytest.mark.parametrize("abi", TARGETS)
@pytest.mark.parametrize("flag", ["--hash-style=gnu", "--hash-style=sysv"])
def test_every_machine_with_and_without_section_headers(abi: str, flag: str, tmp_path: Path) -> None:
    source = "extern int far(void); int near(void) { return far(); } __attribute__((weak)) extern int may(void);"
    source += "int ask(void) { return may ? may() : 0; }"
    path = shared(
        tmp_path / "a.so", abi, soname="liba.so", needs=["libc.so", "libx.so.1"], source=source, flags=[f"-Wl,{flag}"]
    )
    require("llvm-objcopy")
    bare = tmp_path / "bare.so"
    subprocess.run(["llvm-objcopy", "--strip-sections", str(path), str(bare)], check=True)
    for each in (path, bare):
        seen = read_elf(each)
        assert (seen.soname, seen.needed, seen.kind) == ("liba.so", ("libc.so", "libx.so.1"), "library")
    expected = {"armeabi-v7a": (40, 32), "arm64-v8a": (183, 64), "aarch64-linux": (183, 64)}.get(abi, (62, 64))
    assert (seen.machine, seen.bits) == expected


def test_the_highest_version_is_by_number(tmp_path: Path) -> None:
    seen = read_elf(glibc_library(tmp_path / "a.so"))
    told = {version for _, version in readelf_says(tmp_path / "a.so")["versions"] if version.startswith("GLIBC_")}  # type: ignore[attr-defined]
    assert told and seen.highest("GLIBC") == max(
        (t.removeprefix("GLIBC_") for t in told), key=lambda t: [*map(int, t.split("."))]
    )
    assert seen.highest("GLIBCXX") is None
    assert version_key("2.9") < version_key("2.17") < version_key("2.17.1")


def test_programs_are_told_from_libraries(tmp_path: Path) -> None:
    require("gcc")
    (tmp_path / "a.c").write_text("int main(void) { return 0; }")
    for flags in (["-pie"], ["-no-pie"], ["-static-pie"]):
        subprocess.run(["gcc", str(tmp_path / "a.c"), *flags, "-o", str(tmp_path / "a")], check=True)
        assert read_elf(tmp_path / "a").kind == "program", flags
    seen = read_elf(Path(subprocess.check_output(["gcc", "-print-file-name=libc.so.6"], text=True).strip()))
    assert seen.kind == "library" and seen.interpreter, "libc can be started as well"


def test_what_is_no_file_to_load_is_refused(tmp_path: Path) -> None:
    require("gcc")
    (tmp_path / "a.c").write_text("int a;")
    subprocess.run(["gcc", "-c", str(tmp_path / "a.c"), "-o", str(tmp_path / "a.o")], check=True)
    with pytest.raises(ArtifactError, match="its type is 1, expected 2"):
        read_elf(tmp_path / "a.o")
    with pytest.raises(ArtifactError, match="no ELF file: it begins with '69 6e 74 20'"):
        read_elf(tmp_path / "a.c")
    with pytest.raises(ArtifactError, match="No such file"):
        read_elf(tmp_path / "missing")
    big = bytearray((tmp_path / "a.o").read_bytes())
    big[5] = 2
    (tmp_path / "big").write_bytes(big)
    with pytest.raises(ArtifactError, match="byte order 2"):
        read_elf(tmp_path / "big")


def patched(path: Path, at: int, form: str, value: int) -> Path:
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, at, value)
    damaged = path.with_name("damaged.so")
    damaged.write_bytes(data)
    return damaged


def dynamic_entry(path: Path, tag: int) -> int:
    """Where an entry of the dynamic section of a 64-bit file stands, by this file's own reading."""
    data = path.read_bytes()
    (phoff,) = struct.unpack_from("<Q", data, 32)
    (count,) = struct.unpack_from("<H", data, 56)
    for row in range(count):
        kind, _, offset = struct.unpack_from("<IIQ", data, phoff + 56 * row)
        if kind == 2:
            while struct.unpack_from("<q", data, offset)[0] != tag:
                offset += 16
            return offset + 8
    raise AssertionError(tag)


def test_counts_and_places_beyond_the_file_are_refused(tmp_path: Path) -> None:
    path = shared(tmp_path / "a.so", "aarch64-linux", soname="liba.so", needs=["libc.so.6"])
    for at, form, value, words in (
        (56, "<H", 0xFFFF, "headers"), (54, "<H", 3, "headers of 3 bytes"), (32, "<Q", 2**63, "beyond its"),
        (dynamic_entry(path, 5), "<Q", 2**40, "in none of its segments"),
        (dynamic_entry(path, 10), "<Q", 2**40, "beyond its"),
        (dynamic_entry(path, 14), "<Q", 2**31, "does not end"),
    ):  # fmt: skip
        with pytest.raises(ArtifactError, match=words):
            read_elf(patched(path, at, form, value))


def test_versions_that_lead_back_or_never_end_are_refused(tmp_path: Path) -> None:
    path = glibc_library(tmp_path / "a.so")
    (address,) = struct.unpack_from("<Q", path.read_bytes(), dynamic_entry(path, 0x6FFFFFFE))
    for at, form, value, words in (
        (12, "<I", 4, "has 4 bytes"),
        (2, "<H", 0xFFFF, "needed versions"),
        (8, "<I", 2**31, "beyond"),
    ):
        with pytest.raises(ArtifactError, match=words):
            read_elf(patched(path, address + at, form, value))


def test_cut_and_changed_files_are_read_or_refused_in_words(tmp_path: Path) -> None:
    whole = glibc_library(tmp_path / "a.so").read_bytes()
    rng, damaged, refused = Random(3), tmp_path / "b.so", 0
    for number in range(600):
        data = bytearray(whole[: rng.randrange(len(whole))] if number % 3 == 0 else whole)
        for _ in range(rng.randrange(1, 5) if data else 0):
            data[rng.randrange(min(len(data), rng.choice((64, 2**11, 2**20))))] = rng.randrange(256)
        damaged.write_bytes(data)
        try:
            read_elf(damaged)
        except ArtifactError:
            refused += 1
    assert refused > 100
