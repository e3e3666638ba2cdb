"""The ABIs that the native runner is built for: what files of each look like, and where builds and libraries are."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgevit.errors import ArtifactError, unknown_choice
from runtimes.runners.exits import standard_abi
from runtimes.runners.native.elf import ElfFile

if TYPE_CHECKING:
    from runtimes.conditions.device_state import DeviceState

_BIONIC = frozenset({"libc.so", "liblog.so", "libandroid.so"})
_GLIBC = "libc.so.6"
_KINDS = {(40, 32): "ARM, 32 bit", (62, 64): "x86-64", (183, 64): "ARM, 64 bit", (3, 32): "x86, 32 bit"}


@dataclass(frozen=True)
class Abi:
    """One kind of devices, as compilers and packages know it.

    Attributes:
        name: On the command line, and of the folder in the user's cache.
        android: Built with the NDK, for bionic; otherwise for glibc.
        machine: Number of the instruction set in ELF files.
        bits: 32 or 64.
        uname: What a Linux of it calls its machine; empty for Android alone.
        wheel_platforms: Platform tags of wheels that may run there, best first; empty where there are no wheels.
        cross_compiler: The C++ compiler on another host; empty for Android, whose NDK brings it.
        cross_package: Debian's package that brings it.
        loader: The file name of glibc's loader; empty for Android.
    """

    name: str
    android: bool
    machine: int
    bits: int
    uname: str = ""
    wheel_platforms: tuple[str, ...] = ()
    cross_compiler: str = ""
    cross_package: str = ""
    loader: str = ""

    @property
    def aar_folder(self) -> str:
        """The folder of an AAR with its libraries."""
        return f"jni/{self.name}"

    @property
    def is_here(self) -> bool:
        """Whether this host is of this ABI, so that its own compiler builds for it."""
        return not self.android and platform.system() == "Linux" and platform.machine() == self.uname

    @property
    def compiler(self) -> str:
        """The C++ compiler to build with on this host; empty for Android."""
        return "g++" if self.is_here else self.cross_compiler

    @property
    def compiler_package(self) -> str:
        """Debian's package that brings ``compiler``."""
        return "g++" if self.is_here else self.cross_package


def _manylinux(machine: str) -> tuple[str, ...]:
    """Tags by glibc's version, newest first, and the old names of some, as PEP 600 has them."""
    newest = tuple(f"manylinux_2_{minor}_{machine}" for minor in range(39, 16, -1))
    return (*newest, f"manylinux2014_{machine}")


ABIS: dict[str, Abi] = {
    abi.name: abi
    for abi in (
        Abi("arm64-v8a", android=True, machine=183, bits=64),
        Abi("armeabi-v7a", android=True, machine=40, bits=32),
        Abi("x86_64", android=True, machine=62, bits=64),
        Abi(
            "x86_64-linux", android=False, machine=62, bits=64, uname="x86_64",
            wheel_platforms=_manylinux("x86_64"), cross_compiler="x86_64-linux-gnu-g++",
            cross_package="g++-x86-64-linux-gnu", loader="ld-linux-x86-64.so.2",
        ),
        Abi(
            "aarch64-linux", android=False, machine=183, bits=64, uname="aarch64",
            wheel_platforms=_manylinux("aarch64"), cross_compiler="aarch64-linux-gnu-g++",
            cross_package="g++-aarch64-linux-gnu", loader="ld-linux-aarch64.so.1",
        ),
    )
}  # fmt: skip


GLIBC_OF_ANDROID = {"arm64-v8a": "aarch64-linux", "x86_64": "x86_64-linux"}
"""The Linux whose glibc runs on an Android's kernel."""


def abi_named(name: str) -> Abi:
    """The row of that name.

    Raises:
        UsageError: There is none; lists the choices.
    """
    try:
        return ABIS[name]
    except KeyError:
        raise unknown_choice("ABI", name, ABIS) from None


def abi_of(state: DeviceState) -> Abi | None:
    """The ABI whose runner a device takes; None where none is built for it."""
    if state.abi is None:
        return None
    machine = standard_abi(state.abi)
    if state.android_version is not None:
        found = ABIS.get(machine)
        return found if found is not None and found.android else None
    return next((abi for abi in ABIS.values() if abi.uname and standard_abi(abi.uname) == machine), None)


def require_abi(elf: ElfFile, abi: Abi, origin: str) -> None:
    """Refuse a file that no device of ``abi`` can load.

    Raises:
        ArtifactError: It was built for another machine, or for another C library.
    """
    if (elf.machine, elf.bits) != (abi.machine, abi.bits):
        seen = _KINDS.get((elf.machine, elf.bits), f"machine {elf.machine}, {elf.bits} bit")
        expected = _KINDS[abi.machine, abi.bits]
        raise ArtifactError(f"{origin} was built for another ABI: {seen}, expected {expected} ({abi.name})")
    if abi.android and _GLIBC in elf.needed:
        raise ArtifactError(f"{origin} was built for Linux with glibc, expected Android ({abi.name})")
    if not abi.android and _GLIBC not in elf.needed and _BIONIC.intersection(elf.needed):
        raise ArtifactError(f"{origin} was built for Android, expected Linux with glibc ({abi.name})")
