"""What this machine has for native runners: the store at a glance, and whether it can build for each ABI."""

from __future__ import annotations

from msgspec.structs import replace

from edgevit.errors import EdgevitExportError, UsageError
from edgevit.records import Record
from export.recipe import Format
from runtimes.runners.native.abis import ABIS, Abi
from runtimes.runners.native.compilers import toolchain_for
from runtimes.runners.native.listing import ListedRunner, format_of, list_runners
from runtimes.runners.native.runtimes_table import GLIBC, NATIVE
from runtimes.runners.native.store import store_home
from runtimes.runners.native.usable import Lacking


class AbiSurvey(Record):
    """What there is for the devices of one ABI.

    Attributes:
        abi: Which.
        stored: What the store holds for it.
        formats: Those that it runs as it is: program and library are there.
        mend: The line of commands that mends or completes what is stored; empty where nothing is lacking.
        builds: Whether this machine can build for it.
        why_not: Why it cannot.
        install: What changes that.
    """

    abi: str
    stored: tuple[ListedRunner, ...] = ()
    formats: tuple[Format, ...] = ()
    mend: str = ""
    builds: bool = True
    why_not: str = ""
    install: str = ""


class NativeSurvey(Record):
    """The store, and all ABIs; ``home`` is None where there is no place for one, and ``problem`` says why."""

    home: str | None
    abis: tuple[AbiSurvey, ...]
    problem: str = ""


def survey_runners() -> NativeSurvey:
    """Look at sizes and times of what is stored, and for compilers; only what was touched is hashed, nothing is run."""
    try:
        home, rows = str(store_home()), list_runners(glance=True)
    except UsageError as error:
        problem = f"{error.message}; {error.hint}" if error.hint else error.message
        return NativeSurvey(home=None, abis=tuple(_survey(abi, ()) for abi in ABIS.values()), problem=problem)
    abis = tuple(_survey(abi, tuple(row for row in rows if row.abi == abi.name)) for abi in ABIS.values())
    return NativeSurvey(home=home, abis=abis)


def _survey(abi: Abi, stored: tuple[ListedRunner, ...]) -> AbiSurvey:
    good = {row.name for row in stored if not row.problem}
    formats = tuple(row.format for row in NATIVE.values() if {row.program, row.runtime} <= good)
    lacking = _lacking(abi, stored)
    told = AbiSurvey(abi=abi.name, stored=stored, formats=formats, mend=lacking.commands)
    try:
        toolchain_for(abi, None)
    except EdgevitExportError as error:
        why_not = error.message.removeprefix(f"cannot build for {abi.name}: ")
        return replace(told, builds=False, why_not=why_not, install=error.hint or "")
    return told


def _lacking(abi: Abi, stored: tuple[ListedRunner, ...]) -> Lacking:
    """What is damaged, and the other half of what is there alone: of a library the program, of a program a library."""
    there = {row.name for row in stored}
    bad = {row.name for row in stored if row.problem}
    wanted = {format_of(row.name) for row in stored if row.kind == "library" and row.problem}
    for program in {row.program for row in NATIVE.values()} & there:
        opened = [row for row in NATIVE.values() if row.program == program]
        if not any(row.runtime in there for row in opened):
            wanted.update(row.format for row in opened)
    programs = {row.program for row in NATIVE.values() if {row.program, row.runtime} & there}
    return Lacking(
        abi,
        libraries=tuple(format for format in NATIVE if format in wanted),
        glibc=GLIBC in bad,
        program=bool(programs - there or programs & bad),
    )
