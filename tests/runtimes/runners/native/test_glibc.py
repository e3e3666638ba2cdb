"""glibc out of the compiler's system root: whole, of that ABI, and able to start a program."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from elf_files import require
from fake_wheels import stand_in

from edgevit.errors import ArtifactError, FailureError, MissingDependencyError, UsageError
from runtimes.runners.native.abis import ABIS
from runtimes.runners.native.elf import read_elf
from runtimes.runners.native.glibc import fetch_glibc
from runtimes.runners.native.store import find_library

HERE = next(abi for abi in ABIS.values() if abi.is_here)
OTHER = next(abi for abi in ABIS.values() if not abi.is_here and not abi.android)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "runners"))


def test_a_program_is_started_by_it(tmp_path: Path) -> None:
    require("g++", "ldd")
    found = fetch_glibc(HERE)
    assert found.main.name == HERE.loader and found == find_library(HERE, "glibc", "onnx")
    said = subprocess.check_output(["ldd", "--version"], text=True)
    assert found.record.version == re.findall(r"(\d+\.\d+)$", said.splitlines()[0])[0]
    (tmp_path / "a.cpp").write_text(
        "#include <cstdio>\n#include <fstream>\n#include <iostream>\n#include <string>\nint main() { std::string s; "
        'for (std::ifstream f("/proc/self/maps"); std::getline(f, s);) std::cout << s << "\\n"; }'
    )
    subprocess.run(["g++", str(tmp_path / "a.cpp"), "-o", str(tmp_path / "a")], check=True)
    words = [str(found.main), "--library-path", str(found.directory), str(tmp_path / "a")]
    maps = subprocess.check_output(words, text=True, env={})
    mapped = {line.split()[-1] for line in maps.splitlines() if ".so" in line}
    assert mapped and all(Path(name).resolve().is_relative_to(found.directory.resolve()) for name in mapped), mapped


def test_of_another_machine(tmp_path: Path) -> None:
    require(OTHER.cross_compiler)
    found = fetch_glibc(OTHER)
    assert {read_elf(path).machine for path in found.paths} == {OTHER.machine}
    assert {"libc.so.6", "libm.so.6", "libdl.so.2", "libstdc++.so.6", OTHER.loader} <= {
        path.name for path in found.paths
    }


def test_what_cannot_be_bundled_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--glibc is for Linux"):
        fetch_glibc(ABIS["x86_64"])
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    compiler = stand_in(tmp_path / "bin" / OTHER.cross_compiler, 'echo "${1#*=}"')
    with pytest.raises(MissingDependencyError, match=f"has no {re.escape(OTHER.loader)}") as caught:
        fetch_glibc(OTHER)
    assert caught.value.hint == f"apt-get install {OTHER.cross_package}"
    stand_in(compiler, f"echo {Path('/proc/self/exe').resolve()}")
    with pytest.raises(ArtifactError, match="another ABI"):
        fetch_glibc(OTHER)
    stand_in(compiler, "echo broken >&2; exit 3")
    with pytest.raises(FailureError, match="exit code 3; it printed"):
        fetch_glibc(OTHER)


def test_headers_that_say_no_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("g++")
    real = subprocess.check_output(["sh", "-c", "command -v g++"], text=True).strip()
    stand_in(tmp_path / "bin" / "g++", f'case $1 in -E) exit 0;; *) exec {real} "$@";; esac')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(FailureError, match="do not say which glibc"):
        fetch_glibc(HERE)
