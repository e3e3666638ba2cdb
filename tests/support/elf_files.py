"""Small ELF files by real compilers and linkers, for any machine, and what binutils say of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

TARGETS = {
    "arm64-v8a": "aarch64-linux-android24",
    "armeabi-v7a": "armv7a-linux-androideabi24",
    "x86_64": "x86_64-linux-android24",
    "x86_64-linux": "x86_64-linux-gnu",
    "aarch64-linux": "aarch64-linux-gnu",
}


def require(*programs: str) -> None:
    """Skip where a compiler or binutils are not installed."""
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"{', '.join(missing)} not installed")


def shared(
    path: Path,
    abi: str,
    *,
    soname: str | None = None,
    needs: Sequence[str] = (),
    source: str = "int answer(void) { return 42; }",
    flags: Sequence[str] = (),
) -> Path:
    """A shared library for an ABI that asks for libraries by the names in ``needs``."""
    require("clang", "ld.lld")
    path.parent.mkdir(parents=True, exist_ok=True)
    room = path.parent / f".{path.name}.parts"
    room.mkdir(exist_ok=True)
    base = ["clang", f"--target={TARGETS[abi]}", "-nostdlib", "-fuse-ld=lld", "-shared", "-fPIC", "-O1", "-x", "c"]
    (room / "a.c").write_text(source)
    asked = []
    for number, name in enumerate(needs):
        (room / "b.c").write_text(f"int part_{number};")
        stub = room / f"stub{number}.so"
        _run([*base, str(room / "b.c"), f"-Wl,-soname,{name}", "-o", str(stub)])
        asked.append(str(stub))
    named = [] if soname is None else [f"-Wl,-soname,{soname}"]
    _run([*base, str(room / "a.c"), "-x", "none", "-Wl,--no-as-needed", *asked, *named, *flags, "-o", str(path)])
    shutil.rmtree(room)
    return path


def glibc_library(path: Path, compiler: str = "gcc", source: str = "") -> Path:
    """A shared library that is linked with the compiler's own glibc."""
    require(compiler)
    source = source or '#include <stdio.h>\n#include <math.h>\nint say(double x) { return printf("%f", pow(x, x)); }'
    file = path.with_suffix(".c")
    file.write_text(source)
    _run([compiler, "-shared", "-fPIC", "-O1", str(file), "-lm", "-o", str(path)])
    file.unlink()
    return path


def readelf_says(path: Path) -> dict[str, object]:
    """By GNU readelf: name, needed libraries and versions."""
    require("readelf")
    dynamic = _run(["readelf", "-W", "-d", str(path)])
    soname = re.search(r"\(SONAME\)\s+Library soname: \[(.*)\]", dynamic)
    needed = re.findall(r"\(NEEDED\)\s+Shared library: \[(.*)\]", dynamic)
    versions: set[tuple[str, str]] = set()
    file = ""
    for line in _run(["readelf", "-W", "-V", str(path)]).splitlines():
        if found := re.search(r"File: (\S+)\s+Cnt", line):
            file = found[1]
        elif found := re.search(r"Name: (\S+)\s+Flags: .*Version: \d+$", line):
            versions.add((file, found[1]))
    return {"soname": None if soname is None else soname[1], "needed": tuple(needed), "versions": versions}


def _run(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
