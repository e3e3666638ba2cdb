"""The native runner compiled and linked for Android without an NDK, and what the programs ask of the device.

Built by ``tests/support/android/build.sh DIR``; found in ``$EDGEVIT_ANDROID``, or ``.android`` in the repository. The
headers are stand-ins of our own, and so are the libraries that the linker sees: they hold the symbols that bionic has
at the API level by ``tests/data/bionic_symbols.txt`` or by what real Android libraries import. What is missing there
is missing on a phone, so the link fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = Path(__file__).resolve().parent / "android"
SOURCE = ROOT / "runtimes" / "runners" / "native" / "source"
SYMBOLS = ROOT / "tests" / "data" / "bionic_symbols.txt"

API = 24
TARGETS = {
    "arm64-v8a": f"aarch64-linux-android{API}",
    "armeabi-v7a": f"armv7a-linux-androideabi{API}",
    "x86_64": f"x86_64-linux-android{API}",
}
IN_THE_NDK = 0
"""The level of what the NDK links into the program itself (libunwind, compiler-rt), so that no device need have it."""

# bionic's symbol versions, and the last API level that brought something under each.
VERSIONS = {"LIBC": 23, "LIBC_N": 24, "LIBC_O": 26, "LIBC_P": 28, "LIBC_Q": 29, "LIBC_R": 30}

# What an NDK's libc++ has: names in std, its runtime for types and exceptions, allocation, clang's thread_local.
_STANDARD_LIBRARY = re.compile(
    r"_ZN?K?St|_ZT[VTIS](N?St|N10__cxxabiv1|P?K?[a-z]$)|_Z(nw|na|dl|da)|__cxa_|__gxx_personality_v0$|__dynamic_cast$"
    r"|__emutls_get_address$"
)

_TOOLS = ("clang++", "ld.lld", "cmake", "ninja", "readelf")


def android_directory() -> Path:
    """Where headers and Android's libraries are, or would be."""
    named = os.environ.get("EDGEVIT_ANDROID")
    return Path(named).resolve() if named else ROOT / ".android"


def why_not() -> str | None:
    """Why nothing can be linked for Android here; None when it can. In CI what is missing fails."""
    reason = None
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing or not (android_directory() / "lib" / ".complete").exists():
        reason = f"no {', '.join(missing) or 'Android libraries'} (build with: tests/support/android/build.sh .android)"
    if reason is not None and os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and in CI its tests must run", pytrace=False)
    return reason


@dataclass(frozen=True)
class Symbol:
    """A dynamic symbol of an ELF file.

    Attributes:
        name: Without its version.
        version: Empty where it has none.
        defined: Whether the file has it, or asks others for it.
        weak: Whether the file also does without.
    """

    name: str
    version: str
    defined: bool
    weak: bool


def dynamic_symbols(path: Path) -> list[Symbol]:
    """As binutils' readelf tells them, for any machine."""
    text = subprocess.run(
        ["readelf", "--dyn-syms", "--wide", path], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 8 or not fields[0].rstrip(":").isdigit() or fields[4] == "LOCAL":
            continue
        name, _, version = fields[7].partition("@")
        found.append(Symbol(name, version.lstrip("@"), defined=fields[6] != "UND", weak=fields[4] == "WEAK"))
    return found


def imports(path: Path) -> set[str]:
    """What a program or library asks of others and cannot do without."""
    return {symbol.name for symbol in dynamic_symbols(path) if not symbol.defined and not symbol.weak}


def exports(path: Path) -> set[str]:
    """What a library offers."""
    return {symbol.name for symbol in dynamic_symbols(path) if symbol.defined}


@cache
def stated_levels() -> Mapping[str, int]:
    """API levels by the data file."""
    rows = (line.split("#")[0].split() for line in SYMBOLS.read_text().splitlines())
    return {row[0]: IN_THE_NDK if row[1] == "ndk" else int(row[1]) for row in rows if row}


@cache
def witnessed_levels() -> Mapping[str, int]:
    """API levels, at most, by the versions under which real Android libraries import from bionic."""
    return {
        symbol.name: VERSIONS[symbol.version]
        for library in sorted((android_directory() / "lib").glob("*.so"))
        for symbol in dynamic_symbols(library)
        if not symbol.defined and not symbol.weak and symbol.version in VERSIONS
    }


def standard_library() -> set[str]:
    """What a real NDK's libc++ has, as far as one library holds and exports it."""
    offered = exports(android_directory() / "lib" / "libexecutorch.so")
    return {name for name in offered if _STANDARD_LIBRARY.match(name) and "executorch" not in name}


def bionic(api: int = API) -> set[str]:
    """What a device of this API level has, or the NDK brings."""
    levels = {**witnessed_levels(), **stated_levels()}
    return {name for name, level in levels.items() if level <= api}


def unknown(program: Path, *libraries: Path, api: int = API) -> set[str]:
    """What a program asks for that neither bionic, libc++ nor the libraries beside it have."""
    beside = set().union(*(exports(library) for library in libraries))
    return imports(program) - bionic(api) - standard_library() - beside


def make_stubs(directory: Path, api: int = API) -> None:
    """Write the libraries and the start-up object that the linker sees; none of them can be run."""
    directory.mkdir(parents=True, exist_ok=True)
    _assemble(directory / "crt.o", ".globl _start\n_start: b main\n", "-c")
    _stub_library(directory / "libc.so", "libc.so", bionic(api))
    _stub_library(directory / "libc++.so", "libc++_shared.so", standard_library())
    for name in ("libm.so", "libdl.so"):
        _stub_library(directory / name, name, ())


def _stub_library(path: Path, soname: str, names: Iterable[str]) -> None:
    text = "".join(f'.globl "{name}"\n.type "{name}", %function\n"{name}": nop\n' for name in sorted(names))
    _assemble(path, text, "-shared", "-nostdlib", "-fuse-ld=lld", f"-Wl,-soname,{soname}")


def _assemble(path: Path, text: str, *options: str) -> None:
    source = path.with_suffix(".s")
    source.write_text(text)
    command = ["clang", f"--target={TARGETS['arm64-v8a']}", *options, "-o", str(path), str(source)]
    subprocess.run(command, check=True, timeout=60)


def environment(stubs: Path, abi: str = "arm64-v8a") -> dict[str, str]:
    """What ``tests/support/android/toolchain.cmake`` reads."""
    return {
        **os.environ,
        "ANDROID_CHECK_TARGET": TARGETS[abi],
        "ANDROID_CHECK_HEADERS": str(android_directory() / "c++" / "v1"),
        "ANDROID_CHECK_STUBS": str(stubs),
    }


def run_cmake(source: Path, build: Path, stubs: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """Configure and build; what it said is in ``stdout``."""
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={SUPPORT / 'toolchain.cmake'}"
    configure = ["cmake", "-S", str(source), "-B", str(build), "-G", "Ninja", toolchain, *settings]
    for command in (configure, ["cmake", "--build", str(build)]):
        done = subprocess.run(
            command,
            env=environment(stubs),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
            check=False,
        )
        if done.returncode != 0:
            break
    return done


def syntax_complaints(source: Path, abi: str, *options: str) -> str:
    """What clang has against a source file for an ABI; empty when nothing."""
    resources = subprocess.run(
        ["clang++", "-print-resource-dir"], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()
    places = (android_directory() / "c++" / "v1", Path(resources) / "include", SUPPORT / "bionic")
    command = ["clang++", f"--target={TARGETS[abi]}", "-std=c++17", "-fsyntax-only", "-nostdinc", "-nostdinc++"]
    command += ["-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    command += [word for place in places for word in ("-isystem", str(place))]
    done = subprocess.run(
        [*command, f"-I{SOURCE}", *options, str(source)], capture_output=True, text=True, timeout=120, check=False
    )
    return done.stderr if done.returncode else ""
