"""What stands in a command to be copied is read back by a shell as it was."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from edgevit.shell import command_line, quoted
from edgevit.text import printable

NAMES = (
    "plain", "q dir; $(touch PWNED)", "it's", '"', "`id`", "a\\b", "$HOME", "~", "*", "!", "-o", "--", "#x", "a=b", "",
    "\u00e4 \u4e2d", "tab\there", "line\nbreak", "esc\x1b[31m'\\", "right\u202eleft",
    os.fsdecode(b"mod\xe8le"), "\x01234",
)  # fmt: skip


def read_back(line: str) -> list[str]:
    """The words that bash makes of ``line``."""
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    return os.fsdecode(done.stdout).split("\0")[:-1]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_bash_reads_a_word_as_it_was_also_off_a_terminal(name: str) -> None:
    assert read_back(quoted(name)) == [name]
    assert printable(quoted(name)) == quoted(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name], ids=ascii)
def test_a_path_is_no_option(name: str) -> None:
    (word,) = read_back(quoted(Path(name)))
    assert Path(word) == Path(name) and not word.startswith("-")


def test_a_line_has_all_its_words() -> None:
    line = command_line("edgevit-export", "verify", Path("-x y"), "-x y")
    assert shlex.split(line) == ["edgevit-export", "verify", "./-x y", "-x y"]
    assert command_line("adb", "-s", "127.0.0.1:5555") == "adb -s 127.0.0.1:5555"
