"""Readers of the native runner's files: ELF headers, wheels and AARs, and what the user's cache says of them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

from fuzz_mutation import Kind
from fuzz_reader import SEEDS, Reader, at, files, of_file

from edgevit.errors import ArtifactError, UsageError
from export.recipe import Format
from runtimes.runners.native.abis import ABIS, require_abi
from runtimes.runners.native.elf import read_elf
from runtimes.runners.native.fetch import Wanted, fetch_library
from runtimes.runners.native.runtimes_table import NATIVE
from runtimes.runners.native.store import (
    StoredFile,
    StoredLibrary,
    StoredProgram,
    find_library,
    find_program,
    store_home,
)
from runtimes.runners.native.usable import version_of

ABI = ABIS["aarch64-linux"]
_SHA256 = "0123456789abcdef" * 4


def elf(path: Path) -> object:
    """Headers and versions, and whether a device of an ABI can load it."""
    found = read_elf(path)
    require_abi(found, {183: ABI, 40: ABIS["armeabi-v7a"]}.get(found.machine, ABIS["x86_64-linux"]), "it")
    return found.highest("GLIBC")


def in_store(read: Callable[[bytes, Path], object]) -> Callable[[bytes, Path], object]:
    """A reader that has a store of its own."""

    def within(data: bytes, room: Path) -> object:
        before = os.environ.get("EDGEVIT_RUNNERS")
        os.environ["EDGEVIT_RUNNERS"] = str(room / "runners")
        try:
            return read(data, room)
        finally:
            os.environ.pop("EDGEVIT_RUNNERS")
            if before is not None:
                os.environ["EDGEVIT_RUNNERS"] = before

    return within


def archive(data: bytes, room: Path) -> object:
    """A wheel, of which the library is kept."""
    path = at("a.whl")(data, room)
    return fetch_library(Wanted(ABI, NATIVE[Format.PTE], sources=(path,))).record


def folder(data: bytes, room: Path) -> object:
    """The metadata of a package beside its library."""
    (room / "ai_edge_litert-1.dist-info").mkdir()
    (room / "ai_edge_litert-1.dist-info" / "METADATA").write_bytes(data)
    (room / "libLiteRt.so").write_bytes((SEEDS / "elf" / "versions.so").read_bytes())
    return fetch_library(Wanted(ABI, NATIVE[Format.TFLITE], sources=(room,))).record


def stored(data: bytes, _: Path) -> object:
    """A record of a program, or of a library, whose files are not there."""
    refused: list[ArtifactError] = []
    for name, find in (
        ("programs/edgevit-runner", lambda: find_program(ABI, "edgevit-runner")),
        ("libraries/litert", lambda: find_library(ABI, "litert", "tflite")),
    ):
        home = store_home() / ABI.name / name
        home.mkdir(parents=True)
        (home / "record.json").write_bytes(data)
        try:
            return find()
        except ArtifactError as error:
            if error.message.startswith("cannot read /"):
                return error.message
            refused.append(error)
    raise refused[0]


def _wheels() -> list[bytes]:
    made = []
    for name in ("versions.so", "bare.so"):
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr("executorch_numpy_runtime/_core.abi3.so", (SEEDS / "elf" / "versions.so").read_bytes())
            wheel.writestr("executorch_numpy_runtime/liba.so", (SEEDS / "elf" / name).read_bytes())
            wheel.writestr(
                "executorch_numpy_runtime-1.4.0.dist-info/METADATA", "Version: 1.4.0\nSummary: ExecuTorch 1.3.1\n"
            )
        made.append(held.getvalue())
    return made


def _records() -> list[bytes]:
    file = StoredFile(name="edgevit-runner", sha256=_SHA256, size_bytes=7)
    program = StoredProgram(
        name="edgevit-runner", abi=ABI.name, file=file, source_sha256=_SHA256, request_version=4, compiler="GNU 12.2.0"
    )
    library = StoredLibrary(runtime="litert", version="2.3.0", abi=ABI.name, files=(file,), origin="a.whl")
    return [program.to_json().encode(), library.to_json().encode()]


READERS = (
    Reader(
        "elf", "programs and libraries (ELF)", of_file("a.so", elf), (ArtifactError,),
        files("seeds/elf/versions.so", "seeds/elf/arm.so", "seeds/elf/bare.so"), Kind.BINARY,
        tokens=(b"\x7fELF", b"\xff\xff\xff\xff",
                b"\xfe\xff\xff\x6f\x00\x00\x00\x00", b"\xf5\xfe\xff\x6f\x00\x00\x00\x00"),
    ),
    Reader(
        "runner-archive", "wheels and AARs with a runtime's library", in_store(archive), (ArtifactError, UsageError),
        _wheels, Kind.ZIP, tokens=(b"../", b"executorch_numpy_runtime/_core.abi3.so"),
    ),
    Reader(
        "runner-metadata", "a package's metadata beside a runtime's library", in_store(folder),
        (ArtifactError, UsageError), lambda: [b"Metadata-Version: 2.4\nVersion: 2.3.0\nSummary: x\n"], Kind.TEXT,
    ),
    Reader(
        "runner-record", "records of programs and libraries in the user's cache", in_store(stored), (ArtifactError,),
        _records, Kind.JSON,
    ),
    Reader(
        "glibc-version", "the version of a device's glibc",
        lambda data, _: version_of(data.decode("utf-8", "replace")), (), lambda: [b"2.36", b"glibc 2.28"], Kind.TEXT,
    ),
)  # fmt: skip
