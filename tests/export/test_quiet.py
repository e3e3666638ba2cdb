"""The converters' chatter is kept off the console."""

import os
import subprocess
import sys

import pytest

from export.quiet import notes_of, quiet


def test_natives_children_and_python_are_silenced(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(1, b"native\n")
        subprocess.run(["echo", "child"], check=True)
        print("python", file=sys.stderr)
    assert capfd.readouterr() == ("", "")
    with quiet(verbose=True):
        os.write(1, b"native\n")
    assert capfd.readouterr() == ("", "native\n")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_the_end_of_the_log_becomes_a_note_of_the_error() -> None:
    with pytest.raises(ValueError, match="no such operator") as caught, quiet():
        for number in range(20):
            os.write(1, b"line %d\n" % number)
        raise ValueError("no such operator")
    (note,) = notes_of(caught.value)
    assert note.splitlines()[1:] == [f"line {number}" for number in range(5, 20)]
