"""From what ends a command to its exit code and its last words."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from edgevit.errors import MissingDependencyError
from edgevit_export.__main__ import run

THREAD = "threading.Thread(target=lambda: (time.sleep(0.5), print('waited for'))).start()"


def test_ctrl_c_says_that_nothing_unfinished_was_left(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgevit_export.commands.doctor.diagnose", interrupted)
    assert run(["doctor"]) == 130
    assert "interrupted: nothing unfinished" in capfd.readouterr().err


@pytest.mark.parametrize("words", ["models --json", "models", "verify gone --json", "--help"])
def test_a_reader_who_leaves_early_ends_it_without_a_word(words: str) -> None:
    program = f"import sys; from edgevit_export.__main__ import run; sys.exit(run({words.split()!r}))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-u", "-c", program], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (MissingDependencyError("no torch", hint="pip install torch"), 3, "error: no torch\n\nhint: pip install torch"),
        (ZeroDivisionError("odd"), 5, "this is a defect of edgevit-export"),
        (BrokenPipeError(), 141, ""),
        (OSError(28, "No space left on device", "/tmp/x"), 5, "error: cannot write /tmp/x: No space left on device"),
        (FileNotFoundError(2, "No such file or directory"), 5, "this is a defect of edgevit-export"),
        (SystemExit(7), 7, ""),
        (SystemExit("bad"), 1, ""),
    ],
)
def test_whatever_is_raised_becomes_an_exit_code(
    raised: BaseException, code: int, words: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object) -> None:
        raise raised

    monkeypatch.setattr("edgevit_export.commands.doctor.diagnose", failing)
    assert run(["doctor"]) == code
    seen = capfd.readouterr()
    assert words in seen.err and seen.out == ""
    assert ("Traceback" in seen.err) == isinstance(raised, (ZeroDivisionError, FileNotFoundError))


def command(*words: str, stdout: int | IO[bytes]) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "edgevit_export", *words]
    return subprocess.Popen(arguments, stdout=stdout, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [("models",), ("models", "--json"), ("--help",)])
def test_output_that_cannot_be_written_is_no_success(
    words: tuple[str, ...], unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with Path("/dev/full").open("wb") as full:
        process = command(*words, stdout=full)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 5
    assert said.decode() == (
        "error: cannot write the output of this command: No space left on device\n\n"
        "hint: free some space, or write elsewhere\n"
    )


NARROW = {
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "Windows": {"PYTHONIOENCODING": "cp1252"},
    "no locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def _run(narrow: str, *words: str | bytes) -> subprocess.CompletedProcess[bytes]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONIO", "PYTHONUTF8", "LC_"))}
    command = [sys.executable, "-m", "edgevit_export", *words]
    return subprocess.run(command, env=kept | NARROW[narrow], capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize("narrow", NARROW)
def test_a_name_beyond_the_encoding_of_the_terminal_is_shown_and_costs_nothing(narrow: str) -> None:
    done = _run(narrow, "verify", os.fsencode("größe/猫.onnx"), b"mod\xe8le.onnx\x1b[31m")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr and b"\x1b" not in done.stderr
    assert (b"gr\\xf6\\xdfe" if narrow == "ASCII" else b"gr") in done.stderr


@pytest.mark.parametrize("narrow", NARROW)
def test_json_stays_json(narrow: str) -> None:
    done = _run(narrow, "models", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_where_the_locale_is_ascii_sources_and_names_are_utf_8_all_the_same() -> None:
    done = _run("no locale", "verify", os.fsencode("größe.onnx"))
    assert "größe.onnx".encode() in done.stderr


@pytest.mark.parametrize(("before", "last"), [("", b""), (THREAD, b"waited for\n")])
def test_the_end_runs_what_was_registered_and_waits_for_threads(before: str, last: bytes) -> None:
    program = (
        f"import atexit, ctypes, sys, threading, time\n{before}\natexit.register(print, 'registered')\n"
        "atexit.register(ctypes.CDLL(None).printf, b'native')\nfrom edgevit_export import __main__\n"
        "sys.argv = ['edgevit-export', 'verify', 'gone']\n__main__.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"gone" in done.stderr
    assert last in done.stdout and b"registered\n" in done.stdout and b"native" in done.stdout


def test_the_end_takes_nothing_apart() -> None:
    program = (
        "import sys\nfrom edgevit_export import __main__\n"
        "class Held:\n    def __del__(self):\n        print('freed')\n"
        "held = Held()\nsys.argv = ['edgevit-export', '--version']\n__main__.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("edgevit-export ") and "freed" not in done.stdout
