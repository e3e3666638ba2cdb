"""Native runners as the store keeps them, and devices to run them on."""

from __future__ import annotations

from pathlib import Path

from export.recipe import Format
from runtimes.runners.contract import REQUEST_VERSION
from runtimes.runners.native.launch import NativeFiles
from runtimes.runners.native.runtimes_table import NATIVE
from runtimes.runners.native.store import Found, StoredLibrary, StoredProgram, stored_file


def native_files(directory: Path, format: Format = Format.ONNX, *, own_glibc: bool = False) -> NativeFiles:
    """Files that only look like a runner and its library, in ``directory``."""
    row = NATIVE[format]
    glibc = library(directory / "glibc", "glibc", "2.36", "ld-linux-x86-64.so.2", "libc.so.6") if own_glibc else None
    found = library(directory / row.runtime, row.runtime, "1.2.3", "libruntime.so", "libneeded.so")
    return NativeFiles(row, stored_program(directory / "program", row.program), found, glibc)


def stored_program(directory: Path, name: str) -> Found[StoredProgram]:
    """A program of ``directory``, made up."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_bytes(b"program")
    record = StoredProgram(
        name=name, abi="x86_64-linux", file=stored_file(path), source_sha256="0" * 64, contract=REQUEST_VERSION,
        compiler="none",
    )  # fmt: skip
    return Found(record, directory)


def library(directory: Path, runtime: str, version: str, *names: str) -> Found[StoredLibrary]:
    """A library of ``directory`` with files of these names, made up."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_bytes(f"{runtime} {name}".encode())
    files = tuple(stored_file(directory / name) for name in names)
    return Found(
        StoredLibrary(runtime=runtime, version=version, abi="x86_64-linux", files=files, origin="made up"), directory
    )
