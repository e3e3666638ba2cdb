"""The native runner compiles and links for Android, and asks the device for nothing that it lacks."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import android_link
import pytest
from android_link import API, SOURCE, TARGETS

PAGE_BYTES = 16384  # of devices that came with Android 15 or later


@pytest.fixture(scope="module", autouse=True)
def checked() -> None:
    reason = android_link.why_not()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the linker sees of a device."""
    directory = tmp_path_factory.mktemp("stubs")
    android_link.make_stubs(directory)
    return directory


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, stubs: Path) -> Path:
    """The programs for phones, as the project's own CMakeLists.txt builds them."""
    build = tmp_path_factory.mktemp("programs")
    library = android_link.android_directory() / "lib" / "libexecutorch.so"
    done = android_link.run_cmake(
        SOURCE,
        build,
        stubs,
        "-DEDGEVIT_PROGRAMS=edgevit-runner;edgevit-runner-executorch",
        f"-DEDGEVIT_EXECUTORCH_LIBRARY={library}",
        f"-DEDGEVIT_EXECUTORCH_INCLUDE={android_link.android_directory() / 'include'}",
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return build


def dynamic(program: Path) -> str:
    command = ["readelf", "--dynamic", "--program-headers", "--wide", str(program)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def needed(program: Path) -> set[str]:
    return set(re.findall(r"NEEDED.*\[(.+)\]", dynamic(program)))


@pytest.mark.parametrize("name", ["edgevit-runner", "edgevit-runner-executorch"])
def test_a_program_asks_for_nothing_that_android_lacks(programs: Path, name: str) -> None:
    library = android_link.android_directory() / "lib" / "libexecutorch.so"
    beside = [library] if name == "edgevit-runner-executorch" else []
    program = programs / name
    assert len(android_link.imports(program)) > 30, "a check of nothing"
    assert android_link.unknown(program, *beside) == set()
    own = {"libexecutorch_jni.so"} if beside else set()
    assert needed(program) - {"libc.so", "libm.so", "libdl.so", "libc++_shared.so"} == own


@pytest.mark.parametrize("name", ["edgevit-runner", "edgevit-runner-executorch"])
def test_a_program_is_one_that_androids_linker_takes(programs: Path, name: str) -> None:
    text = dynamic(programs / name)
    assert "/system/bin/linker64" in text
    assert re.search(r"FLAGS_1.*PIE", text)
    assert "TEXTREL" not in text
    loads = re.findall(r"^ +LOAD .* (0x[0-9a-f]+)$", text, re.MULTILINE)
    assert loads
    assert all(int(alignment, 16) >= PAGE_BYTES for alignment in loads)
    assert not re.search(r"^ +TLS ", text, re.MULTILINE), "Android below API 29 has no thread-local segments"
    assert (programs / name).stat().st_size < 10**6


def test_onnx_runtimes_own_library_for_android_has_the_one_function_that_is_looked_up() -> None:
    sources = "".join(path.read_text() for path in (SOURCE / "sessions").glob("onnx*"))
    assert '"OrtGetApiBase"' in sources
    assert "OrtGetApiBase" in android_link.exports(android_link.android_directory() / "lib" / "libonnxruntime.so")


@pytest.mark.parametrize("abi", sorted(set(TARGETS) - {"arm64-v8a"}))
def test_the_sources_compile_for_the_other_abis_without_a_warning(abi: str) -> None:
    sources = [path for path in SOURCE.rglob("*.cpp") if path.stem not in {"executorch", "torch"}]
    assert len(sources) > 15
    complaints = [android_link.syntax_complaints(source, abi) for source in sorted(sources)]
    assert "".join(complaints) == ""


GLIBC_ONLY = ("__errno_location", "__isoc23_strtol", "__isoc99_sscanf", "__printf_chk", "__libc_start_main")
LATER = ("aligned_alloc", "getrandom", "timespec_get", "pthread_cond_clockwait")


@pytest.mark.parametrize("name", [*GLIBC_ONLY, *LATER])
def test_what_only_glibc_or_a_later_android_has_does_not_link(tmp_path: Path, stubs: Path, name: str) -> None:
    done = link(tmp_path, stubs, f'extern "C" int {name}();\nint main() {{ return {name}(); }}\n')
    assert done.returncode != 0
    assert f"undefined symbol: {name}" in done.stdout


def test_what_a_later_android_has_links_for_it(tmp_path: Path) -> None:
    android_link.make_stubs(tmp_path / "later", api=30)
    done = link(tmp_path, tmp_path / "later", 'extern "C" int getrandom();\nint main() { return getrandom(); }\n')
    assert done.returncode == 0, done.stdout
    assert android_link.unknown(tmp_path / "build" / "asks") == {"getrandom"}


def link(directory: Path, stubs: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Build a program of one file."""
    (directory / "asks.cpp").write_text(text)
    (directory / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(asks LANGUAGES CXX)\nadd_executable(asks asks.cpp)\n"
    )
    return android_link.run_cmake(directory, directory / "build", stubs)


def test_a_program_for_glibc_fails_the_check(tmp_path: Path) -> None:
    compiler = shutil.which("aarch64-linux-gnu-g++")
    if compiler is None:
        pytest.skip("no aarch64-linux-gnu-g++")
    (tmp_path / "glibc.cpp").write_text(
        '#include <cerrno>\n#include <cstdio>\nint main() { errno = 0; std::puts("x"); return errno; }\n'
    )
    subprocess.run([compiler, "-o", tmp_path / "glibc", tmp_path / "glibc.cpp"], check=True, timeout=60)
    assert {"__errno_location", "__libc_start_main"} <= android_link.unknown(tmp_path / "glibc")


def test_stated_levels_are_of_symbols_without_a_witness_and_most_have_one(programs: Path) -> None:
    stated, witnessed = android_link.stated_levels(), android_link.witnessed_levels()
    assert not set(stated) & set(witnessed), "say nothing of what real libraries tell"
    needs = android_link.imports(programs / "edgevit-runner") & android_link.bionic(API)
    assert len(needs & set(witnessed)) > 4 * len(needs & set(stated))
