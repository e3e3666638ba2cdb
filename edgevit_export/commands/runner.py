"""``runner``: build the native runner, fetch the libraries of its runtimes, list what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import UsageError, parse_choice
from edgevit_export.commands.options import AsJson, Quiet, group_of, split_list
from edgevit_export.console import (
    Progress,
    format_bytes,
    print_line,
    print_next,
    print_note,
    print_records,
    print_table,
    print_text,
)
from export.recipe import Format

if TYPE_CHECKING:
    from runtimes.runners.native.abis import Abi
    from runtimes.runners.native.listing import ListedRunner
    from runtimes.runners.native.store import Found, StoredLibrary, StoredProgram

app = group_of("The native runner, for devices without Python: build it, fetch its runtimes, list what is there.")


_BUILD = """Compile the native runner for an ABI and keep it in the cache directory.

Android's ABIs need its NDK, those of Linux a C++ compiler; all need CMake. The programs for .pte and .ptl are linked
with their libraries: `runner fetch` first. The cache is EDGEVIT_RUNNERS, else edgevit-export/runners in the user's own.

\b
Examples:
  edgevit-export runner build --abi arm64-v8a --ndk ~/android-ndk-r27c
  edgevit-export runner build --abi aarch64-linux
"""

_FETCH = """Put the libraries of runtimes into the cache directory, for a device of another ABI or this one.

For Linux they are taken out of PyPI's wheels (onnxruntime, ai-edge-litert, executorch-numpy-runtime, torch), for
Android out of AARs: given by --from, or by Maven where it is installed. Without --version it is, for Linux, the version
of this host's own package, or else the newest.

\b
Examples:
  edgevit-export runner fetch --abi aarch64-linux --format onnx,tflite,pte
  edgevit-export runner fetch --abi arm64-v8a --format onnx --from onnxruntime-android-1.23.2.aar
"""


@app.command(help=_BUILD)
def build(
    abi: Annotated[list[str], typer.Option("--abi", help="arm64-v8a, armeabi-v7a, x86_64 (Android), x86_64-linux or aarch64-linux. Repeatable.")],
    ndk: Annotated[Path | None, typer.Option(help="Android's NDK; else ANDROID_NDK_HOME or ANDROID_NDK_ROOT.")] = None,
    formats: Annotated[list[str] | None, typer.Option("--format", "-f", help="Which must be built; else all whose library is there.")] = None,
    include: Annotated[Path | None, typer.Option(help="Directory of headers for the one of pte and ptl that --format names.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Compile the native runner for an ABI."""
    from runtimes.runners.native.build import SOURCE, BuildRequest, LeftOut, build_programs, plan_builds
    from runtimes.runners.native.listing import listed_program

    progress = Progress()
    built: list[Found[StoredProgram]] = []
    left_out: list[LeftOut] = []
    for each in _abis(abi):
        request = BuildRequest(each, ndk=ndk, formats=_formats(formats), include=include, source=SOURCE)
        planned = plan_builds(request)
        left_out += planned.left_out
        for plan in planned.plans:
            with progress.step(f"compiling {plan.program} for {each.name}"):
                built += build_programs(request, [plan])
    if as_json:
        print_records(runners=[listed_program(found) for found in built], not_built=left_out)
        return
    columns = ("program", "ABI", "size", "SHA-256", "needs glibc", "linked with", "compiler")
    print_table(columns, [_program_cells(found) for found in built], right=("size",), alike=columns[4:])
    for left in left_out:
        print_note(f"not built: {left.name} for {left.abi}: {left.problem}")
        if left.hint:
            print_next(left.hint)


@app.command(help=_FETCH)
def fetch(
    abi: Annotated[list[str], typer.Option("--abi", help="arm64-v8a, armeabi-v7a, x86_64 (Android), x86_64-linux or aarch64-linux. Repeatable.")],
    formats: Annotated[list[str] | None, typer.Option("--format", "-f", help="Whose runtimes: onnx, tflite, pte, ptl.")] = None,
    version: Annotated[str | None, typer.Option(help="Version of the one package that is fetched.")] = None,
    source: Annotated[list[Path] | None, typer.Option("--from", help="Wheel, AAR or unpacked directory with the library; again for what it needs besides.")] = None,
    glibc: Annotated[bool, typer.Option("--glibc", help="Also glibc itself, from the compiler's system root, for devices without it (experimental).")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Put the libraries of runtimes into the cache directory."""
    from runtimes.runners.native.listing import listed_library
    from runtimes.runners.native.runtimes_table import NATIVE
    from runtimes.runners.native.store import build_command

    asked, abis = _formats(formats), _abis(abi)
    if not asked and not glibc:
        raise UsageError("nothing to fetch: no format was named", hint="--format onnx,tflite")
    if len(asked) != 1 and (version is not None or source):
        raise UsageError(f"--version and --from are for one format, {len(asked)} were named", hint="--format onnx")
    rows = _fetched(abis, asked, version, tuple(source or ()), glibc=glibc)
    if as_json:
        print_records(runners=[listed_library(found) for found in rows])
        return
    said = {row.runtime for row in NATIVE.values() if row.told_version}  # the package has another version
    columns = ("library", "ABI", "version", "files", "size", "SHA-256", "needs glibc")
    print_table(columns, [_library_cells(found) for found in rows], right=("files", "size"), alike=("needs glibc",))
    for found in rows:
        if found.record.runtime in said:
            print_note(f"{found.record.runtime} {found.record.version} is what {found.record.origin} holds")
    for each in abis:
        print_next(build_command(each) + (" --ndk DIR" if each.android else ""))


def _fetched(
    abis: Sequence[Abi], formats: Sequence[Format], version: str | None, sources: tuple[Path, ...], *, glibc: bool
) -> list[Found[StoredLibrary]]:
    """Bring all that was asked for into the store, with the headers that programs are compiled with."""
    from runtimes.runners.native.fetch import Wanted, fetch_library
    from runtimes.runners.native.glibc import fetch_glibc
    from runtimes.runners.native.headers import keep_headers
    from runtimes.runners.native.runtimes_table import NATIVE

    progress = Progress()
    rows: list[Found[StoredLibrary]] = []
    for abi in abis:
        for row in (NATIVE[format] for format in formats):
            with progress.step(f"fetching {row.runtime} for {abi.name}"):
                found = fetch_library(Wanted(abi, row, version, sources))
            rows.append(found)
            if row.linked:
                with progress.step(f"finding the headers of {row.runtime}") as step:
                    headers = keep_headers(abi, row, found.record.version)
                    step.result = "as installed here" if headers is None else headers.record.version
                rows += [headers] if headers else []
        if glibc:
            with progress.step(f"bundling glibc for {abi.name}"):
                rows.append(fetch_glibc(abi))
    return rows


@app.command(name="list")
def list_all(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List the programs and libraries that are there, each checked against its hash.

    Exit code 1 when one of them cannot be used as it is.
    """
    from runtimes.runners.native.listing import list_runners
    from runtimes.runners.native.store import store_home

    rows = list_runners()
    code = int(any(row.problem for row in rows))
    if as_json:
        print_records(runners=rows)
        raise typer.Exit(code)
    if not rows:
        print_text(f"nothing is in {store_home()}")
        print_next("edgevit-export runner build --help")
        return
    columns = ("name", "ABI", "version", "size", "SHA-256", "glibc", "usable")
    print_table(
        columns, [_listed_cells(row) for row in rows], right=("size",), names=("name", "ABI"), alike=("usable",)
    )
    for row in rows:
        if row.problem:
            print_line()
            print_text(f"{row.name} for {row.abi}: {row.problem}")
            print_line(f"  {row.hint}")
    raise typer.Exit(code)


def _abis(words: list[str]) -> list[Abi]:
    from runtimes.runners.native.abis import ABIS, abi_named

    if not (names := split_list(words)):
        raise UsageError("--abi is empty: expected one of " + ", ".join(ABIS))
    return [abi_named(name) for name in names]


def _formats(words: list[str] | None) -> tuple[Format, ...]:
    return tuple(dict.fromkeys(parse_choice("format", Format, name) for name in split_list(words)))


def _program_cells(found: Found[StoredProgram]) -> Sequence[str]:
    record = found.record
    linked = "-" if record.linked is None else f"{record.linked.runtime} {record.linked.version}"
    size = format_bytes(record.file.size_bytes)
    glibc = record.needs_glibc or "-"
    return (record.name, record.abi, size, record.file.sha256[:8], glibc, linked, record.compiler)


def _library_cells(found: Found[StoredLibrary]) -> Sequence[str]:
    record = found.record
    size = format_bytes(sum(file.size_bytes for file in record.files))
    return (
        record.runtime, record.abi, record.version, str(len(record.files)), size, record.main.sha256[:8],
        record.needs_glibc or "-",
    )  # fmt: skip


def _listed_cells(row: ListedRunner) -> Sequence[str]:
    size = format_bytes(row.size_bytes) if row.sha256 else "-"
    glibc, usable = row.needs_glibc or "-", "no" if row.problem else "yes"
    version = (row.version or "-").rpartition(" ")[2]  # of the library, which a program's own name says
    return (row.name, row.abi, version, size, (row.sha256 or "-")[:8], glibc, usable)
