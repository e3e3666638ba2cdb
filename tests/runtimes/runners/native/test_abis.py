"""ABIs: which a device takes, and which files are for it."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec
import pytest
from elf_files import shared
from latency_records import state

from edgevit.errors import ArtifactError, UsageError
from runtimes.runners.native.abis import ABIS, abi_named, abi_of, require_abi
from runtimes.runners.native.elf import read_elf


@pytest.mark.parametrize(
    ("machine", "android", "name"),
    [
        ("arm64-v8a", "14", "arm64-v8a"), ("armeabi-v7a", "9", "armeabi-v7a"), ("x86_64", "13", "x86_64"),
        ("aarch64", None, "aarch64-linux"), ("x86_64", None, "x86_64-linux"), ("armv7l", None, None),
        ("riscv64", "15", None), ("riscv64", None, None), (None, None, None), ("x86_64-linux", "14", None),
    ],
)  # fmt: skip
def test_the_abi_of_a_device(machine: str | None, android: str | None, name: str | None) -> None:
    found = abi_of(msgspec.structs.replace(state(), abi=machine, android_version=android))
    assert (None if found is None else found.name) == name


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(UsageError, match="unknown ABI 'arm64': choose from aarch64-linux, arm64-v8a") as caught:
        abi_named("arm64")
    assert caught.value.hint == "did you mean 'arm64-v8a'?"
    assert abi_named("x86_64").android


def test_tags_of_wheels_are_newest_first() -> None:
    tags = ABIS["aarch64-linux"].wheel_platforms
    assert (
        tags.index("manylinux_2_28_aarch64")
        < tags.index("manylinux_2_27_aarch64")
        < tags.index("manylinux_2_17_aarch64")
    )
    assert not any(abi.wheel_platforms for abi in ABIS.values() if abi.android)


def test_this_host_compiles_for_itself() -> None:
    here = [abi for abi in ABIS.values() if abi.is_here]
    assert [abi.uname for abi in here] == [platform.machine()]
    assert {(abi.compiler, abi.compiler_package) for abi in here} == {("g++", "g++")}
    other = ABIS["aarch64-linux" if platform.machine() == "x86_64" else "x86_64-linux"]
    assert other.compiler.endswith("-linux-gnu-g++") and other.compiler_package == other.cross_package


@pytest.mark.parametrize("built", ABIS)
@pytest.mark.parametrize("wanted", ABIS)
def test_files_of_another_abi_are_refused(built: str, wanted: str, tmp_path: Path) -> None:
    libc = "libc.so" if ABIS[built].android else "libc.so.6"
    elf = read_elf(shared(tmp_path / "a.so", built, needs=[libc]))
    if built == wanted:
        require_abi(elf, ABIS[wanted], "a.so")
        return
    same_machine = {built, wanted} in ({"arm64-v8a", "aarch64-linux"}, {"x86_64", "x86_64-linux"})
    with pytest.raises(ArtifactError, match="a.so was built for (Linux|Android)" if same_machine else "another ABI"):
        require_abi(elf, ABIS[wanted], "a.so")
