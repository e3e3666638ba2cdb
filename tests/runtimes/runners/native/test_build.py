"""From sources to programs in the store, by the real CMake and compilers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from elf_files import require, shared
from fake_wheels import stand_in
from native_project import small_project

from edgevit.errors import ArtifactError, FailureError, MissingDependencyError, UsageError
from export.recipe import Format
from runtimes.runners.contract import RunRequest
from runtimes.runners.native.abis import ABIS
from runtimes.runners.native.build import (
    SOURCE,
    BuildRequest,
    Plan,
    build_programs,
    contract_of,
    plan_builds,
    source_sha256,
)
from runtimes.runners.native.elf import read_elf
from runtimes.runners.native.fetch import Wanted, fetch_library
from runtimes.runners.native.runtimes_table import NATIVE
from runtimes.runners.native.store import find_program

HERE = next(abi for abi in ABIS.values() if abi.is_here)
OTHER = next(abi for abi in ABIS.values() if not abi.is_here and not abi.android)
PHONE = ABIS["arm64-v8a"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    require("cmake", "g++")
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "runners"))
    return small_project(tmp_path / "source")


def with_executorch(tmp_path: Path) -> Path:
    """Fetch a small library for .pte; gives a folder of headers for it."""
    main = shared(tmp_path / "libs" / "_core.abi3.so", HERE.name)
    fetch_library(Wanted(HERE, NATIVE[Format.PTE], "1.3.1", (main.parent,)))
    include = tmp_path / "include"
    (include / "executorch").mkdir(parents=True)
    (include / "executorch" / "version.h").write_text("#define MINOR 3\n")
    return include


def test_a_program_is_compiled_and_kept(project: Path, tmp_path: Path) -> None:
    request = BuildRequest(HERE, source=project)
    planned = plan_builds(request)
    assert [plan.program for plan in planned.plans] == ["edgevit-runner"]
    fetch = f"edgevit-export runner fetch --abi {HERE.name} --format"
    assert [(left.abi, left.name, left.hint) for left in planned.left_out] == [
        (HERE.name, "edgevit-runner-executorch", f"{fetch} pte"), (HERE.name, "edgevit-runner-torch", f"{fetch} ptl"),
    ]  # fmt: skip
    (built,) = build_programs(request, planned.plans)
    assert built == find_program(HERE, "edgevit-runner")
    assert subprocess.check_output([str(built.main)], text=True) == "hello\n"
    record = built.record
    assert (record.request_version, record.source_sha256, record.linked) == (7, source_sha256(project), None)
    version = subprocess.check_output(["g++", "-dumpfullversion"], text=True).strip()
    assert record.compiler == f"GNU {version}" and record.needs_glibc is not None
    assert [path.name for path in (tmp_path / "runners").iterdir()] == [HERE.name], "nothing else is left"


def test_for_another_machine(project: Path) -> None:
    require(OTHER.cross_compiler)
    (built,) = build_programs(BuildRequest(OTHER, source=project), [Plan("edgevit-runner")])
    assert read_elf(built.main).machine == OTHER.machine


def test_a_program_is_linked_with_the_library_of_the_store(project: Path, tmp_path: Path) -> None:
    include = with_executorch(tmp_path)
    request = BuildRequest(HERE, formats=(Format.PTE,), include=include, source=project)
    planned = plan_builds(request)
    assert [plan.program for plan in planned.plans] == ["edgevit-runner", "edgevit-runner-executorch"]
    assert planned.left_out == ()
    _, built = build_programs(request, planned.plans)
    assert built.record.linked is not None
    assert (built.record.linked.runtime, built.record.linked.version) == ("executorch", "1.3.1")
    library = planned.plans[1].library
    assert library is not None and built.record.linked.sha256 == library.record.main.sha256
    environment = {"LD_LIBRARY_PATH": str(library.directory)}
    assert subprocess.check_output([str(built.main)], text=True, env=environment) == "45\n"
    assert str(tmp_path).encode() not in built.main.read_bytes(), "no path of this host is in it"


def test_torch_lies_as_in_its_package(project: Path, tmp_path: Path) -> None:
    main = shared(tmp_path / "libs" / "libtorch_cpu.so", HERE.name, soname="libtorch_cpu.so")
    fetch_library(Wanted(HERE, NATIVE[Format.PTL], "9.9.0", (main.parent,)))
    (tmp_path / "include" / "torch").mkdir(parents=True)
    (tmp_path / "include" / "torch" / "version.h").write_text("#define MINOR 9\n")
    request = BuildRequest(HERE, formats=(Format.PTL,), include=tmp_path / "include", source=project)
    built = build_programs(request, plan_builds(request).plans)
    environment = {"LD_LIBRARY_PATH": str(plan_builds(request).plans[1].library.directory)}  # type: ignore[union-attr]
    assert subprocess.check_output([str(built[1].main)], text=True, env=environment) == "51\n"


def test_what_does_not_compile_leaves_the_old_one(project: Path) -> None:
    request, plan = BuildRequest(HERE, source=project), Plan("edgevit-runner")
    old = build_programs(request, [plan])[0]
    (project / "main.cpp").write_text("int main() { return nothing_of_this_name; }\n")
    with pytest.raises(FailureError) as failed:
        build_programs(request, [plan])
    first, *printed = failed.value.message.split("\n  ")
    assert first == f"edgevit-runner cannot be compiled for {HERE.name}; it printed:"
    assert "nothing_of_this_name" in printed[0] and len(printed) <= 15
    (project / "main.cpp").write_text("int nothing_to_link_with();\nint main() { return nothing_to_link_with(); }\n")
    with pytest.raises(FailureError, match=r"undefined reference to .nothing_to_link_with"):
        build_programs(request, [plan])
    (project / "CMakeLists.txt").write_text("nonsense(\n")
    with pytest.raises(FailureError, match="CMake cannot configure edgevit-runner"):
        build_programs(request, [plan])
    assert find_program(HERE, "edgevit-runner") == old


def test_what_a_compiler_made_for_another_machine_is_not_kept(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(OTHER.cross_compiler)
    monkeypatch.setenv("CXX", OTHER.cross_compiler)
    with pytest.raises(ArtifactError, match="what was compiled as edgevit-runner was built for another ABI"):
        build_programs(BuildRequest(HERE, source=project), [Plan("edgevit-runner")])
    assert find_program(HERE, "edgevit-runner") is None


def test_formats_that_are_asked_for_are_built_or_refused(project: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="linked with executorch, which was not fetched") as caught:
        plan_builds(BuildRequest(HERE, formats=(Format.PTE,), source=project))
    assert caught.value.hint == f"edgevit-export runner fetch --abi {HERE.name} --format pte"
    with pytest.raises(UsageError, match="torch has no library for Android"):
        plan_builds(BuildRequest(PHONE, formats=(Format.PTL,), source=project))
    with pytest.raises(UsageError, match="--include is for the one program that is compiled"):
        plan_builds(BuildRequest(HERE, formats=(Format.ONNX,), include=tmp_path, source=project))
    assert [plan.program for plan in plan_builds(BuildRequest(HERE, formats=(Format.ONNX,))).plans] == [
        "edgevit-runner"
    ]


def test_a_damaged_library_is_not_linked_with(project: Path, tmp_path: Path) -> None:
    include = with_executorch(tmp_path)
    request = BuildRequest(HERE, formats=(Format.PTE,), include=include, source=project)
    library = plan_builds(request).plans[1].library
    assert library is not None
    library.main.write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="its record says"):
        plan_builds(request)
    everything = plan_builds(BuildRequest(HERE, source=project))
    assert any("its record says" in left.problem for left in everything.left_out)


def test_an_ndk_is_what_cmake_is_given(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A toolchain file in the place of the NDK's, which compiles for Android as far as clang alone can."""
    require("clang++", "ld.lld")
    home = tmp_path / "ndk"
    (home / "build" / "cmake").mkdir(parents=True)
    flags = "--target=aarch64-linux-android24 -nostdinc -nostdinc++ -ffreestanding"
    (home / "build" / "cmake" / "android.toolchain.cmake").write_text(
        f'set(CMAKE_SYSTEM_NAME Generic)\nset(CMAKE_CXX_COMPILER clang++)\nset(CMAKE_CXX_FLAGS_INIT "{flags}")\n'
        "set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)\n"
        "set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ANDROID_ABI ANDROID_PLATFORM ANDROID_STL)\n"
        'set(CMAKE_EXE_LINKER_FLAGS_INIT "-fuse-ld=lld -nostdlib -pie -Wl,--entry=main")\n'
        'if(NOT "${ANDROID_ABI};${ANDROID_PLATFORM};${ANDROID_STL}" STREQUAL "arm64-v8a;android-24;c++_static")\n'
        '  message(FATAL_ERROR "not as an NDK is asked")\nendif()\n'
    )
    (home / "source.properties").write_text("Pkg.Revision = 27.2.1\n")
    (project / "main.cpp").write_text('extern "C" int main() { return 0; }\n')
    (built,) = build_programs(BuildRequest(PHONE, ndk=home, source=project), [Plan("edgevit-runner")])
    elf = read_elf(built.main)
    assert (elf.machine, elf.kind, built.record.needs_glibc) == (183, "program", None)
    assert re.fullmatch(r"Clang [\d.]+, NDK 27\.2\.1", built.record.compiler)


def test_the_hash_is_over_names_and_contents_of_sources_alone(project: Path, tmp_path: Path) -> None:
    before = source_sha256(project)
    (project / "notes.md").write_text("not compiled")
    assert source_sha256(project) == before == source_sha256(Path(shutil.copytree(project, tmp_path / "copy")))
    (project / "main.cpp").rename(project / "other.cpp")
    renamed = source_sha256(project)
    (project / "core" / "request.h").write_text("constexpr int kRequestVersion = 8;")
    assert len({before, renamed, source_sha256(project)}) == 3
    assert contract_of(project) == 8
    (project / "core" / "request.h").write_text("")
    with pytest.raises(ArtifactError, match="kRequestVersion"):
        contract_of(project)


def test_the_real_sources_read_the_request_that_is_sent() -> None:
    assert get_args(get_type_hints(RunRequest)["schema_version"]) == (contract_of(SOURCE),)


def test_a_stand_in_for_cmake_that_makes_a_library_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = shared(tmp_path / "a.so", HERE.name, needs=["libc.so.6"])
    text = (
        f'[ "$1" = --build ] && cp {library} "$2/edgevit-runner"\n'
        'for word; do [ "$before" = -B ] && mkdir -p "$word"; before=$word; done; exit 0'
    )
    stand_in(tmp_path / "bin" / "cmake", text)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(ArtifactError, match="is a library, expected a program"):
        build_programs(BuildRequest(HERE, source=project), [Plan("edgevit-runner")])
