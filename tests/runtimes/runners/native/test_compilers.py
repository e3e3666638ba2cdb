"""What builds for an ABI, and what is said where it is missing."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from fake_wheels import stand_in

from edgevit.errors import MissingDependencyError, UsageError
from runtimes.runners.native.abis import ABIS, Abi
from runtimes.runners.native.compilers import compiler_for, toolchain_for

HERE = next(abi for abi in ABIS.values() if abi.is_here)
OTHER = next(abi for abi in ABIS.values() if not abi.is_here and not abi.android)
PHONE = ABIS["arm64-v8a"]


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with all that is needed, but no NDK."""
    folder = tmp_path / "bin"
    for name in ("cmake", "ninja", "make", "g++", "clang++", OTHER.cross_compiler):
        stand_in(folder / name, "exit 0")
    monkeypatch.setenv("PATH", str(folder))
    for variable in ("CXX", "ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    return folder


def ndk(path: Path, properties: str | None = "Pkg.Desc = Android NDK\nPkg.Revision = 27.2.12479018\n") -> Path:
    (path / "build" / "cmake").mkdir(parents=True)
    (path / "build" / "cmake" / "android.toolchain.cmake").write_text("")
    if properties is not None:
        (path / "source.properties").write_text(properties)
    return path


def test_an_ndk_is_named_or_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = ndk(tmp_path / "first"), ndk(tmp_path / "second", None)
    monkeypatch.setenv("ANDROID_NDK_ROOT", str(second))
    seen = toolchain_for(PHONE, None)
    assert f"-DCMAKE_TOOLCHAIN_FILE={second}/build/cmake/android.toolchain.cmake" in seen.words and seen.told == "NDK"
    monkeypatch.setenv("ANDROID_NDK_HOME", str(first))
    assert toolchain_for(PHONE, None).told == "NDK 27.2.12479018"
    assert toolchain_for(PHONE, second) == seen
    assert {"-DANDROID_ABI=arm64-v8a", "-DANDROID_PLATFORM=android-24", "-DANDROID_STL=c++_static"} <= set(seen.words)


def test_without_an_ndk_it_is_said_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingDependencyError, match="no NDK of Android was named") as caught:
        toolchain_for(PHONE, None)
    assert "runner build --abi arm64-v8a --ndk DIR" in str(caught.value.hint)
    with pytest.raises(UsageError, match=r"--ndk: .* is no NDK: it has no build/cmake/android\.toolchain\.cmake"):
        toolchain_for(PHONE, tmp_path)
    for place in ("9.2.1", "27.2.12479018", "side by side/ndk/26.1"):
        ndk(tmp_path / place)
    for named, meant in ((tmp_path, "27.2.12479018"), (tmp_path / "side by side", "ndk/26.1")):
        with pytest.raises(UsageError, match="is no NDK") as refused:
            toolchain_for(PHONE, named)
        assert shlex.split(refused.value.hint or "") == ["--ndk", str(named / meant)], "one that lies in it is offered"
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"ANDROID_NDK_HOME: .* is no NDK"):
        toolchain_for(PHONE, None)
    with pytest.raises(UsageError, match=f"--ndk is for Android; {OTHER.name}"):
        toolchain_for(OTHER, ndk(tmp_path / "ndk"))


def test_linux_is_compiled_by_its_own_compiler(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert toolchain_for(HERE, None).words == (
        str(programs / "cmake"), "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={programs / 'g++'}"
    )  # fmt: skip
    words = toolchain_for(OTHER, None).words
    assert f"-DCMAKE_CXX_COMPILER={programs / OTHER.cross_compiler}" in words and "-DCMAKE_SYSTEM_NAME=Linux" in words
    monkeypatch.setenv("CXX", "clang++")
    assert compiler_for(HERE) == str(programs / "clang++")
    assert compiler_for(OTHER) == str(programs / OTHER.cross_compiler)


@pytest.mark.parametrize(
    ("missing", "abi", "package"),
    [
        (("cmake",), HERE, "cmake"), (("ninja", "make"), HERE, "make"), (("g++",), HERE, "g++"),
        ((OTHER.cross_compiler,), OTHER, OTHER.cross_package),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_its_package(
    missing: tuple[str, ...], abi: Abi, package: str, programs: Path
) -> None:
    for name in missing:
        (programs / name).unlink()
    with pytest.raises(MissingDependencyError, match=f"cannot build for {abi.name}") as caught:
        toolchain_for(abi, None)
    assert caught.value.hint == f"apt-get install {package}"


def test_make_does_where_ninja_is_not(programs: Path) -> None:
    (programs / "ninja").unlink()
    assert "Unix Makefiles" in toolchain_for(HERE, None).words
