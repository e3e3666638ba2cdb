"""The converters' chatter is kept off the console, which stays usable."""

import os
import subprocess
import sys

import pytest

from export.quiet import console_stream, quiet


def test_quiet_silences_natives_and_python_but_not_the_console(capfd: pytest.CaptureFixture[str]) -> None:
    with console_stream() as console, quiet():
        os.write(1, b"native\n")
        subprocess.run(["echo", "child"], check=True)
        print("python", file=sys.stderr)
        print("progress", file=console)
    assert capfd.readouterr() == ("", "progress\n")
    with quiet(verbose=True):
        os.write(1, b"native\n")
    assert capfd.readouterr() == ("", "native\n")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"
