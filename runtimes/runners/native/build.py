"""From the C++ sources to programs in the store, by CMake."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edgevit.errors import ArtifactError, EdgevitExportError, FailureError, MissingDependencyError, UsageError
from edgevit.records import Record, sha256_file, unwritable
from edgevit.text import read_bytes
from export.recipe import Format
from runtimes.runners.exits import LAST_LINES, show_tail
from runtimes.runners.native.abis import Abi, require_abi
from runtimes.runners.native.compilers import Toolchain, toolchain_for
from runtimes.runners.native.elf import read_elf
from runtimes.runners.native.headers import headers_for
from runtimes.runners.native.runtimes_table import NATIVE, RUNNER, NativeRow
from runtimes.runners.native.store import (
    Found,
    LinkedLibrary,
    StoredLibrary,
    StoredProgram,
    fetch_command,
    find_library,
    keep_program,
    stored_file,
)

SOURCE = Path(__file__).with_name("source")
"""The C++ sources, which are part of this package."""
LONGEST_LINE = 300  # characters; chosen, because templates have names without end
_COMPLAINT = re.compile(
    rb"\b(?:fatal )?error: (?!ld returned)|undefined (?:reference|symbol)|cannot find|No space left|CMake Error"
)
_SOURCES = frozenset({".cpp", ".h", ".cmake", ".txt"})
_CONTRACT = re.compile(r"\bkRequestVersion\s*=\s*(\d{1,6})\s*;")
_COMPILER = re.compile(r'set\(CMAKE_CXX_COMPILER_(ID|VERSION) "([\w.+-]{1,60})"\)')


@dataclass(frozen=True)
class BuildRequest:
    """What is to be built.

    Attributes:
        abi: For which devices.
        ndk: Android's NDK; None for the one that the environment names.
        formats: Whose programs must be built; empty for all whose libraries are in the store.
        include: Folder of headers, instead of those of the library's version that are found.
        source: The C++ sources.
    """

    abi: Abi
    ndk: Path | None = None
    formats: tuple[Format, ...] = ()
    include: Path | None = None
    source: Path = SOURCE


@dataclass(frozen=True)
class Plan:
    """One program to be built, and the library that it is linked with."""

    program: str
    row: NativeRow | None = None
    library: Found[StoredLibrary] | None = None


class LeftOut(Record):
    """A program that cannot be built and was not asked for: why, and the command that changes that, if any."""

    abi: str
    name: str
    problem: str
    hint: str = ""


@dataclass(frozen=True)
class Plans:
    """What can be built, and what cannot."""

    plans: tuple[Plan, ...]
    left_out: tuple[LeftOut, ...]


def plan_builds(request: BuildRequest) -> Plans:
    """Which programs can be built; nothing is compiled yet.

    Raises:
        UsageError: A format that is asked for has no library for that ABI, or ``include`` is for no program.
        MissingDependencyError: Its library was not fetched; the hint is the command.
        ArtifactError: Its library is damaged.
    """
    plans = [Plan(RUNNER)]
    left_out: list[LeftOut] = []
    for row in (row for row in NATIVE.values() if row.linked):
        asked = row.format in request.formats
        if request.formats and not asked:
            continue
        try:
            plans.append(Plan(row.program, row, _library(request.abi, row)))
        except EdgevitExportError as error:
            if asked:
                raise
            why = LeftOut(abi=request.abi.name, name=row.program, problem=error.message, hint=error.hint or "")
            left_out.append(why)
    if request.include is not None and len(plans) != 2:
        named = ", ".join(row.format for row in NATIVE.values() if row.linked)
        raise UsageError(
            f"--include is for the one program that is compiled with headers: expected --format with one of {named}",
            hint="--format pte",
        )
    return Plans(tuple(plans), tuple(left_out))


def _library(abi: Abi, row: NativeRow) -> Found[StoredLibrary]:
    row.require_library(android=abi.android)
    found = find_library(abi, row.runtime, row.format)
    if found is None:
        raise MissingDependencyError(
            f"{row.program} (for .{row.format}) is linked with {row.title}, which was not fetched for {abi.name}",
            hint=fetch_command(abi, row.format),
        )
    return found


def build_programs(request: BuildRequest, plans: Iterable[Plan]) -> list[Found[StoredProgram]]:
    """Compile programs and put each into the store; what an earlier one was stays where one fails.

    Args:
        request: What is to be built.
        plans: Of ``plan_builds``.

    Raises:
        UsageError, MissingDependencyError: As ``toolchain_for`` and ``headers_for``.
        FailureError: A program cannot be compiled, or the disk is full.
        ArtifactError: What was compiled is not for the ABI.
    """
    toolchain = toolchain_for(request.abi, request.ndk)
    built = []
    for plan in plans:
        try:  # not in the user's cache, which may have a name that CMake or the linker mistakes
            with TemporaryDirectory(prefix="edgevit-build-") as room:
                built.append(_built(request, plan, toolchain, Path(room)))
        except OSError as error:
            raise unwritable(Path(error.filename or "a temporary directory"), error) from error
    return built


def source_sha256(source: Path = SOURCE) -> str:
    """SHA-256 over names and contents of all C++ sources."""
    told = hashlib.sha256()
    for path in sorted(path for path in source.rglob("*") if path.is_file() and path.suffix in _SOURCES):
        told.update(f"{path.relative_to(source).as_posix()}\0{sha256_file(path)}\n".encode())
    return told.hexdigest()


def stale(program: StoredProgram, library: Found[StoredLibrary] | None, sources: str) -> str:
    """Why a program is not what would be built now; empty where it is.

    Args:
        program: Its record.
        library: What the store has of the runtime that it is linked with.
        sources: ``source_sha256`` of today's sources.
    """
    if program.source_sha256 != sources:
        return "built from other sources"
    if program.linked is None:
        return ""
    linked = f"linked with {program.linked.runtime} {program.linked.version}"
    if library is None:
        return f"{linked}, which is not there any more"
    return "" if library.record.main.sha256 == program.linked.sha256 else f"{linked}, another one is there now"


def contract_of(source: Path = SOURCE) -> int:
    """The version of the request that the sources read.

    Raises:
        ArtifactError: They do not say it.
    """
    path = source / "core" / "request.h"
    found = _CONTRACT.search(read_bytes(path, what="source", limit_bytes=2**20).decode("utf-8", "replace"))
    if found is None:
        raise ArtifactError(f"{path} does not say which version of the request it reads (kRequestVersion)")
    return int(found[1])


def _built(request: BuildRequest, plan: Plan, toolchain: Toolchain, room: Path) -> Found[StoredProgram]:
    abi, folder = request.abi, room / "build"
    words = [
        *toolchain.words, "-S", str(request.source), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_SKIP_RPATH=ON", f"-DEDGEVIT_PROGRAMS={plan.program}", *_linking(request, plan, room),
    ]  # fmt: skip
    _run(words, f"CMake cannot configure {plan.program} for {abi.name}")
    _run([words[0], "--build", str(folder)], f"{plan.program} cannot be compiled for {abi.name}")
    path = folder / plan.program
    elf = read_elf(path)
    require_abi(elf, abi, f"what was compiled as {plan.program}")
    if elf.kind != "program":
        raise ArtifactError(f"what was compiled as {plan.program} is a {elf.kind}, expected a program")
    linked = None
    if plan.library is not None:
        library = plan.library.record
        linked = LinkedLibrary(runtime=library.runtime, version=library.version, sha256=library.main.sha256)
    record = StoredProgram(
        name=plan.program,
        abi=abi.name,
        file=stored_file(path),
        source_sha256=source_sha256(request.source),
        request_version=contract_of(request.source),
        compiler=_compiler_of(folder, toolchain),
        linked=linked,
        needs_glibc=elf.highest("GLIBC"),
    )
    return keep_program(record, path)


def _linking(request: BuildRequest, plan: Plan, room: Path) -> Sequence[str]:
    """CMake's variables for the library that a program is linked with."""
    if plan.library is None or plan.row is None:
        return ()
    unpacked = room / "headers"
    include = headers_for(plan.library.record, request.abi, plan.row, request.include, unpacked)
    if plan.row.format is Format.PTE:
        (room / "library").symlink_to(plan.library.directory.resolve())
        library = room / "library" / plan.library.main.name
        return (f"-DEDGEVIT_EXECUTORCH_LIBRARY={library}", f"-DEDGEVIT_EXECUTORCH_INCLUDE={include}")
    package = room / "torch"  # as the package lies in a Python: headers of this host, libraries of the device
    package.mkdir()
    (package / "include").symlink_to(include.resolve())
    (package / "lib").symlink_to(plan.library.directory.resolve())
    return (f"-DEDGEVIT_TORCH_DIR={package}",)


def _run(words: Sequence[str], failed: str) -> None:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if not done.returncode:
        return
    lines = done.stdout.splitlines(keepends=True)
    first = next((place for place, line in enumerate(lines) if _COMPLAINT.search(line)), 0)
    raise FailureError(f"{failed}{show_tail(b''.join(lines[first : first + LAST_LINES]))}")


def _compiler_of(folder: Path, toolchain: Toolchain) -> str:
    """The compiler's name and version, as CMake found them."""
    for path in folder.glob("CMakeFiles/*/CMakeCXXCompiler.cmake"):
        text = read_bytes(path, what="CMake's file", limit_bytes=2**20).decode("utf-8", "replace")
        found = dict(_COMPILER.findall(text))
        told = f"{found.get('ID', 'unknown')} {found.get('VERSION', '')}".strip()
        return ", ".join(filter(None, (told, toolchain.told)))
    return "unknown"
