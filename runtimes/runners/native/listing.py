"""What the store holds, for people and scripts; what is damaged or out of date, and what mends it."""

from __future__ import annotations

from typing import Literal

from edgevit.errors import ArtifactError
from edgevit.records import Record
from export.recipe import Format
from runtimes.runners.native.abis import ABIS, Abi
from runtimes.runners.native.build import source_sha256, stale
from runtimes.runners.native.runtimes_table import GLIBC, NATIVE
from runtimes.runners.native.store import (
    Found,
    StoredLibrary,
    StoredProgram,
    build_command,
    find_library,
    find_program,
    stored_names,
)


class ListedRunner(Record):
    """One entry of the store.

    Attributes:
        kind: A program, or a library.
        abi: For which devices.
        name: Of the program, or of the library's runtime.
        version: Of the library, or of the one that the program is linked with; None for a program without one.
        size_bytes: All its files.
        sha256: Of its main file; None where it is damaged.
        origin: The compiler, or where the library is from.
        needs_glibc: Version of glibc that it needs.
        current: Whether a program was built from these sources, for the library that is there; None for libraries.
        problem: Why it cannot be used as it is; empty where it can.
        hint: The command that mends that.
    """

    kind: Literal["program", "library"]
    abi: str
    name: str
    version: str | None = None
    size_bytes: int = 0
    sha256: str | None = None
    origin: str = ""
    needs_glibc: str | None = None
    current: bool | None = None
    problem: str = ""
    hint: str = ""


def list_runners(*, glance: bool = False) -> tuple[ListedRunner, ...]:
    """All entries of the store, by ABI: programs, then libraries; ``glance`` is as of ``find_program``."""
    sources = source_sha256()
    return tuple(
        row
        for abi in ABIS.values()
        for row in (
            *(_program(abi, name, sources, glance=glance) for name in stored_names(abi, "programs")),
            *(_library(abi, name, glance=glance) for name in stored_names(abi, "libraries")),
        )
    )


def listed_program(found: Found[StoredProgram], problem: str = "") -> ListedRunner:
    """A program of the store; ``problem`` is why it is not what would be built now."""
    record = found.record
    return ListedRunner(
        kind="program",
        abi=record.abi,
        name=record.name,
        version=None if record.linked is None else f"{record.linked.runtime} {record.linked.version}",
        size_bytes=record.file.size_bytes,
        sha256=record.file.sha256,
        origin=record.compiler,
        needs_glibc=record.needs_glibc,
        current=not problem,
        problem=problem,
        hint=build_command(ABIS[record.abi]) if problem else "",
    )


def listed_library(found: Found[StoredLibrary]) -> ListedRunner:
    """A library of the store."""
    record = found.record
    return ListedRunner(
        kind="library",
        abi=record.abi,
        name=record.name,
        version=record.version,
        size_bytes=sum(file.size_bytes for file in record.files),
        sha256=record.main.sha256,
        origin=record.origin,
        needs_glibc=record.needs_glibc,
    )


def _stale(program: StoredProgram, abi: Abi, sources: str, *, glance: bool) -> str:
    """Why a program is not what would be built now; empty where it is."""
    row = next((row for row in NATIVE.values() if program.linked and row.runtime == program.linked.runtime), None)
    try:
        library = None if row is None else find_library(abi, row.runtime, row.format, glance=glance)
    except ArtifactError as error:
        return error.message
    return stale(program, library, sources)


def _program(abi: Abi, name: str, sources: str, *, glance: bool) -> ListedRunner:
    try:
        found = find_program(abi, name, glance=glance)
    except ArtifactError as error:
        return _damaged("program", abi, name, error)
    if found is None:
        return ListedRunner(kind="program", abi=abi.name, name=name, problem="removed while it was read")
    return listed_program(found, _stale(found.record, abi, sources, glance=glance))


def format_of(library: str) -> Format | None:
    """The format that is fetched to bring a library, or the headers that belong to it; None for glibc."""
    return next((row.format for row in NATIVE.values() if library.startswith(row.runtime)), None)


def _library(abi: Abi, name: str, *, glance: bool) -> ListedRunner:
    try:
        found = find_library(abi, name, format_of(name) or GLIBC, glance=glance)
    except ArtifactError as error:
        return _damaged("library", abi, name, error)
    if found is None:
        return ListedRunner(kind="library", abi=abi.name, name=name, problem="removed while it was read")
    return listed_library(found)


def _damaged(kind: Literal["program", "library"], abi: Abi, name: str, error: ArtifactError) -> ListedRunner:
    return ListedRunner(kind=kind, abi=abi.name, name=name, problem=error.message, hint=error.hint or "")
