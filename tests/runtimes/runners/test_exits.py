"""From a program's exit code and its ELF header to words."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bench_rig import elf, program

from runtimes.runners.exits import exit_error, needed_glibc, program_abi, show_tail, standard_abi


def test_this_machines_programs_are_recognised() -> None:
    machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()
    assert program_abi(Path(sys.executable).resolve()) == standard_abi(machine)


def test_abis_by_header(tmp_path: Path) -> None:
    assert [program_abi(elf(tmp_path / "a", number)) for number in (3, 40, 62, 183, 8)] == [
        "x86", "armeabi-v7a", "x86_64", "arm64-v8a", "ELF machine 8",
    ]  # fmt: skip
    big_endian = tmp_path / "b"
    big_endian.write_bytes(b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\xb7")
    assert program_abi(big_endian) == "arm64-v8a"
    assert program_abi(program(tmp_path / "script", "exit 0")) is None
    (tmp_path / "short").write_bytes(b"\x7fELF")
    assert program_abi(tmp_path / "short") is None


def test_names_of_machines() -> None:
    assert [standard_abi(name) for name in ("aarch64", "armv8l", "i686", "x86_64")] == [
        "arm64-v8a", "armeabi-v7a", "x86", "x86_64",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rc", "printed", "words", "hint"),
    [
        (3, "boom", "failed with exit code 3; it printed:\n  boom", "--dry-run"),
        (1, "", "failed with exit code 1; it printed nothing", "--dry-run"),
        (127, "", "was not found on the device, or a library", "devices --setup"),
        (126, "", "cannot be executed on the device", "ABI"),
        (2, "sh: 1: Syntax error: \")\" unexpected", "cannot be executed on the device", "ABI"),
        (1, "tool: not executable: 64-bit ELF file", "cannot be executed on the device", "ABI"),
        (137, "", f"was ended by signal {signal.SIGKILL:d} (SIGKILL)", "ran out of memory"),
        (132, "", "was ended by signal 4 (SIGILL)", "instructions that this CPU lacks"),
        (139, "", "was ended by signal 11 (SIGSEGV)", "--dry-run"),
        (255, "", "failed with exit code 255", "--dry-run"),
    ],
)  # fmt: skip
def test_each_end_is_told_with_its_next_step(rc: int, printed: str, words: str, hint: str) -> None:
    error = exit_error("m.onnx on 8BC1", "tool", rc, printed)
    assert error.message.startswith("m.onnx on 8BC1: 'tool' ")
    assert words in error.message
    assert error.hint is not None and hint in error.hint


@pytest.mark.parametrize(
    ("printed", "words", "hint"),
    [
        (
            "sh: 1: exec: tool: Permission denied",
            ": it was built for a device like this (arm64-v8a) and arrived whole (SHA-256), so programs are denied",
            "--remote-dir",
        ),
        ("sh: tool: Operation not permitted", "so programs are denied there", "--remote-dir"),
        ("sh: 1: exec: tool: Exec format error", ", although it was built for a device like this (arm64-v8a)", "ABI"),
        ("", ", although it was built for a device like this (arm64-v8a)", "ABI"),
    ],
)
def test_what_was_checked_before_is_not_told_as_the_cause(printed: str, words: str, hint: str) -> None:
    error = exit_error("m.onnx on 8BC1", "tool", 126, printed, built_for="arm64-v8a")
    assert (
        error.message.startswith("m.onnx on 8BC1: 'tool' cannot be executed on the device") and words in error.message
    )
    assert "another ABI" not in error.message
    assert error.hint is not None and hint in error.hint


def test_what_a_program_printed_is_shown_without_colours_and_with_both_ends_of_long_lines() -> None:
    shown = show_tail(b"\x1b[1;31mred\x1b[0m\n\n" + b"a" * 500 + b"the end\nx\x1b]0;title\x07y\n")
    lines = shown.split("\n  ")
    assert lines[:2] == ["; it printed:", "red"] and lines[3] == r"x\x1b]0;title\x07y"
    assert lines[2].startswith("aaa") and lines[2].endswith("the end") and len(lines[2]) < 300


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ("./runner: /lib/libc.so.6: version `GLIBC_2.9' not found\n./runner: version `GLIBC_2.34' not found", "2.34"),
        ("cannot load the library: /lib/libm.so.6: version `GLIBC_2.38' not found (required by x.so)", "2.38"),
        ("version `GLIBCXX_3.4.30' not found", None),
        ("", None),
    ],
)
def test_the_glibc_that_a_loader_misses_is_the_highest(words: str, version: str | None) -> None:
    assert needed_glibc(words) == version
