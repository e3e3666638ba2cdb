"""``runner``: build the native runner, fetch the libraries of its runtimes, list what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import UsageError, parse_choice
from edgevit_export.commands.options import AsJson, Quiet, group_of, split_list
from edgevit_export.console import (
    Progress,
    format_bytes,
    print_command,
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
    from runtimes.runners.native.fetch import Wanted
    from runtimes.runners.native.listing import ListedRunner
    from runtimes.runners.native.store import Found, StoredLibrary, StoredProgram

_GROUP = """The native runner, which measures on devices without Python.

It takes a program, which `build` compiles, and for each format the library of its runtime, which `fetch` brings; `bench`
then puts both on the device. `edgevit-export devices --setup` prints the two commands that a device needs.
"""

_BUILD = """Compile the native runner for an ABI.

Android takes its NDK, Linux a C++ compiler; both take CMake. What runs .pte or .ptl is linked with the library of its
runtime, so `runner fetch` comes first.

What is built is kept in $EDGEVIT_RUNNERS, else in edgevit-export/runners of the user's cache directory.

\b
Examples:
  edgevit-export runner build --abi aarch64-linux
  edgevit-export runner build --abi arm64-v8a --ndk ~/android-ndk-r27c
"""

_FETCH = """Get the libraries of runtimes for an ABI.

For Linux they are taken out of PyPI's wheels (onnxruntime, ai-edge-litert, executorch-numpy-runtime, torch), for
Android out of AARs, which --from names or Maven downloads where it is installed.

What is fetched is kept in $EDGEVIT_RUNNERS, else in edgevit-export/runners of the user's cache directory.

\b
Examples:
  edgevit-export runner fetch --abi aarch64-linux --format onnx,tflite,pte
  edgevit-export runner fetch --abi arm64-v8a --format onnx --from FILE.aar
"""

app = group_of(_GROUP)
_ABI = typer.Option(
    "--abi",
    help="Of the devices: arm64-v8a, armeabi-v7a or x86_64 (Android), aarch64-linux or x86_64-linux; `devices --setup` "
    "names it. Repeatable.",
)


@app.command(help=_BUILD)
def build(
    abi: Annotated[list[str], _ABI],
    ndk: Annotated[Path | None, typer.Option(help="Directory of Android's NDK; else $ANDROID_NDK_HOME or $ANDROID_NDK_ROOT.")] = None,
    formats: Annotated[list[str] | None, typer.Option("--format", "-f", help="Formats to build for: onnx, tflite, pte, ptl. Without it all whose library was fetched, onnx and tflite always.")] = None,
    include: Annotated[Path | None, typer.Option(help="With --format pte or ptl: directory of that runtime's headers, instead of those that come with its package.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Compile the native runner for an ABI."""
    from runtimes.runners.native.build import SOURCE, BuildRequest, build_programs, plan_builds
    from runtimes.runners.native.compilers import toolchain_for
    from runtimes.runners.native.listing import listed_program

    asked = _formats(formats)
    requests = [BuildRequest(each, ndk=ndk, formats=asked, include=include, source=SOURCE) for each in _abis(abi)]
    planned = [(request, plan_builds(request)) for request in requests]
    for request in requests:
        toolchain_for(request.abi, ndk)  # what is missing for the last is said before minutes go into the first
    left_out = [left for _, plans in planned for left in plans.left_out]
    progress = Progress()
    built: list[Found[StoredProgram]] = []
    for request, plans in planned:
        for plan in plans.plans:
            with progress.step(f"compiling {plan.program} for {request.abi.name}"):
                built += build_programs(request, [plan])
    if as_json:
        print_records(runners=[listed_program(found) for found in built], not_built=left_out)
        return
    columns = ("program", "ABI", "size", "SHA-256", "needs glibc", "linked with", "compiler")
    print_table(columns, [_program_cells(found) for found in built], right=("size",), alike=columns[4:])
    for left in left_out:
        print_note(f"not built: {left.problem}")
        if left.hint:
            print_next(left.hint)


@app.command(help=_FETCH)
def fetch(
    abi: Annotated[list[str], _ABI],
    formats: Annotated[list[str] | None, typer.Option("--format", "-f", help="Formats whose runtimes are fetched: onnx, tflite, pte, ptl.")] = None,
    version: Annotated[str | None, typer.Option(help="With one --format: version of its package. Without it, for Linux, that of this host's own package, or else the newest.")] = None,
    source: Annotated[list[Path] | None, typer.Option("--from", help="With one --format: wheel, AAR or unpacked directory to take the library from. Again for what it needs besides.")] = None,
    glibc: Annotated[bool, typer.Option("--glibc", help="Also glibc, from the compiler's system root, for --runner native-glibc (experimental).")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Put the libraries of runtimes into the cache directory."""
    from runtimes.runners.native.fetch import Wanted
    from runtimes.runners.native.glibc import require_linux
    from runtimes.runners.native.listing import listed_library
    from runtimes.runners.native.runtimes_table import NATIVE
    from runtimes.runners.native.store import build_command

    asked, abis = _formats(formats), _abis(abi)
    if not asked and not glibc:
        raise UsageError("nothing to fetch: neither --format nor --glibc was given", hint="add --format onnx,tflite")
    if len(asked) != 1 and (version is not None or source):
        option, named = "--version" if version is not None else "--from", ", ".join(asked) or "none"
        raise UsageError(f"{option} is for one format, but --format names {named}", hint="--format onnx")
    for each in abis if glibc else ():
        require_linux(each)
    wanted = {each: [Wanted(each, NATIVE[format], version, tuple(source or ())) for format in asked] for each in abis}
    rows = _fetched(wanted, glibc=glibc)
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


def _fetched(wanted: Mapping[Abi, Sequence[Wanted]], *, glibc: bool) -> list[Found[StoredLibrary]]:
    """Bring all that was asked for into the store, with the headers that programs are compiled with."""
    from runtimes.runners.native.fetch import fetch_library
    from runtimes.runners.native.glibc import fetch_glibc
    from runtimes.runners.native.headers import keep_headers

    progress = Progress()
    rows: list[Found[StoredLibrary]] = []
    for abi, libraries in wanted.items():
        for each in libraries:
            with progress.step(f"fetching {each.row.runtime} for {abi.name}"):
                found = fetch_library(each)
            rows.append(found)
            if each.row.linked:
                with progress.step(f"finding the headers of {each.row.runtime}") as step:
                    headers = keep_headers(abi, each.row, found.record.version)
                    step.result = "as installed here" if headers is None else headers.record.version
                rows += [headers] if headers else []
        if glibc:
            with progress.step(f"bundling glibc for {abi.name}"):
                rows.append(fetch_glibc(abi))
    return rows


@app.command(name="list")
def list_all(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List what was built and fetched.

    Each file is checked against its hash; exit code 1 when a program or library cannot be used as it is.
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
        print_next("edgevit-export devices --setup")
        return
    columns = ("name", "ABI", "version", "size", "SHA-256", "glibc", "usable")
    print_table(
        columns, [_listed_cells(row) for row in rows], right=("size",), names=("name", "ABI"), alike=("usable",)
    )
    for row in rows:
        if row.problem:
            print_line()
            print_text(f"{row.name} for {row.abi}: {row.problem}")
            if row.hint:
                print_command(row.hint)
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
