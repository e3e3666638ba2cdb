"""glibc itself, out of a compiler's system root: for devices that have none, or too old a one (experimental).

A program for Linux is then started by the loader of this bundle, with its libraries, whatever the device has.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from edgevit.errors import FailureError, MissingDependencyError, UsageError
from runtimes.runners.exits import show_tail
from runtimes.runners.native.abis import ABIS, GLIBC_OF_ANDROID, Abi, require_abi
from runtimes.runners.native.compilers import compiler_for
from runtimes.runners.native.elf import read_elf
from runtimes.runners.native.runtimes_table import GLIBC
from runtimes.runners.native.store import Found, StoredLibrary, fetch_command, keep_library, stored_file, workplace

# libdl, libpthread and librt are empty since glibc 2.34, and still asked for by what was built before.
_LIBRARIES = (
    "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1", "libstdc++.so.6"
)  # fmt: skip
_TIMEOUT_S = 60.0  # chosen: a compiler that only says a path needs some milliseconds


def require_linux(abi: Abi) -> None:
    """Refuse Android.

    Raises:
        UsageError: The ABI is Android's; the hint names the Linux whose programs phones may start with it.
    """
    if abi.android:
        linux = ABIS.get(GLIBC_OF_ANDROID.get(abi.name, ""))
        taken = f"; --runner native-glibc takes that of {linux.name} there" if linux else ""
        raise UsageError(
            f"--glibc is for Linux; {abi.name} is Android, which has a C library of its own{taken}",
            hint=fetch_command(linux, GLIBC) if linux else None,
        )


def fetch_glibc(abi: Abi) -> Found[StoredLibrary]:
    """Bring glibc for a Linux into the store: its loader first, then its libraries and the compiler's own.

    Raises:
        UsageError: The ABI is Android's.
        MissingDependencyError: The compiler is not installed, or its system root lacks a library.
        FailureError: The compiler does not say where they are.
        ArtifactError: A library is damaged or of another ABI.
    """
    require_linux(abi)
    compiler = compiler_for(abi)
    with workplace() as room:
        files = [_copied(compiler, name, abi, room) for name in (abi.loader, *_LIBRARIES)]
        record = StoredLibrary(
            runtime=GLIBC,
            version=_version(compiler),
            abi=abi.name,
            files=tuple(map(stored_file, files)),
            origin=Path(compiler).name,
        )
        return keep_library(record, files)


def _copied(compiler: str, name: str, abi: Abi, room: Path) -> Path:
    """A library under the name by which it is asked for, which in the system root may be that of a link."""
    found = Path(_said(compiler, f"-print-file-name={name}").strip())
    if not found.is_absolute() or not found.is_file():  # a compiler repeats what it does not find
        raise MissingDependencyError(
            f"cannot bundle glibc for {abi.name}: {compiler} has no {name}",
            hint=f"apt-get install {abi.compiler_package}",
        )
    require_abi(read_elf(found), abi, str(found))
    path = room / name
    path.write_bytes(found.read_bytes())
    return path


def _version(compiler: str) -> str:
    """The version of glibc, by its headers."""
    said = _said(compiler, "-E", "-dM", "-x", "c", "-", given="#include <features.h>\n")
    found = dict(re.findall(r"#define (__GLIBC(?:_MINOR)?__) (\d{1,4})\b", said))
    if len(found) != 2:
        raise FailureError(f"the headers of {compiler} do not say which glibc they are of")
    return f"{found['__GLIBC__']}.{found['__GLIBC_MINOR__']}"


def _said(compiler: str, *words: str, given: str = "") -> str:
    done = subprocess.run(
        [compiler, *words], input=given.encode(), capture_output=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise FailureError(f"{compiler} {words[0]} failed with exit code {done.returncode}{show_tail(done.stderr)}")
    return done.stdout.decode("utf-8", "replace")
