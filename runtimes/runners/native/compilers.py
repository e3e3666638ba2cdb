"""What builds the native runner for an ABI: CMake, a compiler, for Android an NDK; and CMake's variables for them."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import MissingDependencyError, UsageError
from edgevit.shell import command_line
from edgevit.text import read_bytes
from runtimes.runners.native.abis import ABIS, Abi
from runtimes.runners.native.elf import version_key
from runtimes.runners.native.store import build_command

NDK_VARIABLES = ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT")
ANDROID_PLATFORM = "android-24"  # Android 7.0: the oldest that the AARs of all three runtimes run on
_GET_NDK = "get one from https://developer.android.com/ndk/downloads"
_TOOLCHAIN = Path("build", "cmake", "android.toolchain.cmake")


@dataclass(frozen=True)
class Toolchain:
    """CMake's first words for an ABI, and how records name what is not the compiler itself."""

    words: tuple[str, ...]
    told: str = ""


def toolchain_for(abi: Abi, ndk: Path | None) -> Toolchain:
    """What builds for ``abi`` on this host.

    Raises:
        UsageError: ``ndk`` is no NDK, or the ABI needs none.
        MissingDependencyError: CMake, what it drives, the compiler or the NDK is missing; the hint brings it.
    """
    cmake = _require("cmake", "cmake", abi)
    generator = "Ninja" if shutil.which("ninja") else "Unix Makefiles"
    if generator != "Ninja":
        _require("make", "make", abi)
    start = (cmake, "-G", generator)
    if abi.android:
        home = _ndk(abi, ndk)
        words = (
            f"-DCMAKE_TOOLCHAIN_FILE={home / _TOOLCHAIN}", f"-DANDROID_ABI={abi.name}",
            f"-DANDROID_PLATFORM={ANDROID_PLATFORM}", "-DANDROID_STL=c++_static",
        )  # fmt: skip
        return Toolchain((*start, *words), _revision(home))
    if ndk is not None:
        raise UsageError(
            f"--ndk is for Android; {abi.name} is built by {abi.compiler}",
            hint="leave --ndk out, or name an ABI of Android",
        )
    compiler = f"-DCMAKE_CXX_COMPILER={compiler_for(abi)}"
    if abi.is_here:
        return Toolchain((*start, compiler))
    return Toolchain((*start, "-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={abi.uname}", compiler))


def compiler_for(abi: Abi) -> str:
    """The C++ compiler for a Linux; on a host of the ABI itself the user's own choice, ``$CXX``.

    Raises:
        MissingDependencyError: It is not installed.
    """
    chosen = os.environ.get("CXX") if abi.is_here else None
    if chosen and shutil.which(chosen) is None:
        raise UsageError(f"CXX is '{chosen}', which is no program", hint="unset CXX, or let it name a C++ compiler")
    return _require(chosen or abi.compiler, abi.compiler_package, abi)


def _require(program: str, package: str, abi: Abi) -> str:
    found = shutil.which(program)
    if found is None:
        raise MissingDependencyError(
            f"cannot build for {abi.name}: '{program}' is not installed", hint=f"apt-get install {package}"
        )
    return found


def _ndk(abi: Abi, named: Path | None) -> Path:
    """The NDK that is named on the command line, else in the environment."""
    origin, home = "--ndk", named
    for variable in NDK_VARIABLES:
        if home is None and (value := os.environ.get(variable)):
            origin, home = variable, Path(value)
    if home is None:
        raise MissingDependencyError(
            f"cannot build for {abi.name}: no NDK of Android was named (--ndk, {' or '.join(NDK_VARIABLES)})",
            hint=f"{_GET_NDK}, then: {build_command(abi)} --ndk DIR{_for_linux(abi)}",
        )
    if not (home / _TOOLCHAIN).is_file():
        inside = [path.parents[2] for pattern in ("*", "ndk/*") for path in home.glob(f"{pattern}/{_TOOLCHAIN}")]
        newest = max(inside, key=lambda path: version_key(path.name), default=None)
        hint = command_line("--ndk", newest) if newest else _GET_NDK
        raise UsageError(f"{origin}: {home} is no NDK: it has no {_TOOLCHAIN}", hint=hint)
    return home.resolve()


def _for_linux(abi: Abi) -> str:
    """A word for who means a Linux of the same name."""
    return f" (for Linux: --abi {abi.name}-linux)" if f"{abi.name}-linux" in ABIS else ""


def _revision(home: Path) -> str:
    """How an NDK names its version."""
    path = home / "source.properties"
    if not path.is_file():
        return "NDK"
    text = read_bytes(path, what="NDK's properties", limit_bytes=2**16).decode("utf-8", "replace")
    found = re.search(r"^Pkg\.Revision *= *([\w.]{1,40})", text, re.MULTILINE)
    return f"NDK {found[1]}" if found else "NDK"
