"""Whether the native runner can run a format on a device, and if not, the one command that is missing."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.errors import ArtifactError
from export.recipe import Format
from runtimes.conditions.device_state import DeviceState
from runtimes.devices.device import Device
from runtimes.runners.exits import GLIBC_HINT
from runtimes.runners.native.abis import ABIS, GLIBC_OF_ANDROID, Abi, abi_of
from runtimes.runners.native.build import source_sha256, stale
from runtimes.runners.native.launch import NativeFiles
from runtimes.runners.native.runtimes_table import GLIBC, NATIVE, NativeRow
from runtimes.runners.native.store import (
    Found,
    StoredLibrary,
    StoredProgram,
    build_command,
    fetch_command,
    find_library,
    find_program,
)


@dataclass(frozen=True)
class Lacking:
    """What of the native runner is not there for some formats, so that one line of commands brings all of it.

    Attributes:
        abi: For which devices.
        libraries: Formats whose library must be fetched.
        glibc: Whether glibc must be.
        program: Whether a program must be built.
    """

    abi: Abi
    libraries: tuple[Format, ...] = ()
    glibc: bool = False
    program: bool = False

    def __or__(self, other: Lacking) -> Lacking:
        """What is lacking of either."""
        libraries = tuple(dict.fromkeys((*self.libraries, *other.libraries)))
        return Lacking(self.abi, libraries, self.glibc or other.glibc, self.program or other.program)

    @property
    def commands(self) -> str:
        """The commands that bring it, in one line; what stands in capitals is the user's."""
        given = [format for format in self.libraries if self.abi.android or _must_be_given(NATIVE[format], self.abi)]
        together = ",".join(format for format in self.libraries if format not in given)
        steps = [fetch_command(self.abi, together)] if together else []
        source = "FILE.aar" if self.abi.android else "FILE.whl"
        steps += [f"{fetch_command(self.abi, format)} --from {source}" for format in given]
        if self.glibc:
            steps.append(fetch_command(self.abi, GLIBC))
        if self.program:
            steps.append(build_command(self.abi) + (" --ndk DIR" if self.abi.android else ""))
        return " && ".join(steps)


@dataclass(frozen=True)
class Missing:
    """Why the native runner cannot be used, and what changes that: ``lacking`` where something must be brought here."""

    why: str
    how: str
    lacking: Lacking | None = None


def glibc_version(device: Device, state: DeviceState) -> tuple[int, ...] | None:
    """The version of a Linux device's glibc; None for Android, and where it does not say."""
    if state.android_version is not None:
        return None
    answer = device.run(["getconf", "GNU_LIBC_VERSION"])
    words = answer.out.split()
    return version_of(words[1]) if answer.ok and len(words) == 2 and words[0] == "glibc" else None


def version_of(text: str) -> tuple[int, ...] | None:
    """``2.36`` as numbers, to compare; None for what is no version."""
    parts = text.split(".")
    return (
        tuple(map(int, parts)) if all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts) else None
    )


def native_files(
    state: DeviceState, format: Format, glibc: tuple[int, ...] | None, *, own_glibc: bool = False
) -> NativeFiles | Missing:
    """What runs ``format`` natively on a device, or what is missing.

    Args:
        state: Of the device.
        format: The format.
        glibc: Version of the device's glibc, where it is known.
        own_glibc: Bring glibc along, for a device that has none or an old one (experimental).
    """
    abi = _abi(state, own_glibc=own_glibc)
    if abi is None:
        return Missing(f"none is built for {state.abi or 'an unknown ABI'}", f"ABIs: {', '.join(ABIS)}")
    row = NATIVE[format]
    if abi.android and row.aar_main is None:
        why = f"{row.title} has no library for Android that a program can be linked with"
        return Missing(why, "the vendor's own tool: --runner tool")
    try:
        library = find_library(abi, row.runtime, format)
        program = find_program(abi, row.program)
        bundle = find_library(abi, GLIBC, GLIBC) if own_glibc else None
    except ArtifactError as error:
        return Missing(error.message, error.hint or build_command(abi))
    problem = _program_problem(program, library, row, abi)
    lacking = Lacking(abi, () if library else (format,), own_glibc and bundle is None, bool(problem))
    if library is None and _must_be_given(row, abi):
        return Missing(f"no library of {row.title} for {abi.name}", f"{lacking.commands}; {row.elsewhere}")
    if library is None:
        what = f"no library of {row.title}" if program else "no program and no library"
        return Missing(f"{what} for {abi.name}", lacking.commands, lacking)
    if problem or program is None:
        return Missing(problem or "", lacking.commands, lacking)
    if lacking.glibc:
        return Missing(f"no glibc for {abi.name}", lacking.commands, lacking)
    if not own_glibc and (problem := _too_new(program, library, glibc)):
        return Missing(problem, GLIBC_HINT)
    return NativeFiles(row, program, library, bundle)


def _abi(state: DeviceState, *, own_glibc: bool) -> Abi | None:
    abi = abi_of(state)
    if own_glibc and abi is not None and abi.android:
        return ABIS.get(GLIBC_OF_ANDROID.get(abi.name, ""))
    return abi


def _must_be_given(row: NativeRow, abi: Abi) -> bool:
    """Whether what PyPI has of a package for other machines than this needs what devices lack."""
    return row.elsewhere is not None and not abi.is_here


def _program_problem(
    program: Found[StoredProgram] | None, library: Found[StoredLibrary] | None, row: NativeRow, abi: Abi
) -> str | None:
    """Why the program must be built, or built anew."""
    if program is None:
        return f"no {row.program} for {abi.name}"
    reason = stale(program.record, library, source_sha256())
    return f"{row.program} for {abi.name} is {reason}" if reason else None


def _too_new(program: Found[StoredProgram], library: Found[StoredLibrary], glibc: tuple[int, ...] | None) -> str | None:
    needs = (program.record.needs_glibc, library.record.needs_glibc)
    for what, needed in zip((program.record.name, library.record.main.name), needs, strict=True):
        wanted = version_of(needed) if needed else None
        if wanted is not None and glibc is not None and wanted > glibc:
            return f"{what} needs glibc {needed}, the device has {'.'.join(map(str, glibc))}"
    return None
