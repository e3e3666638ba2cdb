"""Streams that are full, closed or missing: words are lost, work and exit codes are not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgevit_export.__main__ import run
from edgevit_export.streams import dependable_streams, flush_or_forget, unfailing

ROOT = Path(__file__).parents[2]
NO_SUCH_COMMAND = 2
UNWRITTEN = 5


def shell(words: str, redirected: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The command line under a shell that opens or closes its streams, as a person has it."""
    line = f'exec "$0" -m edgevit_export {words} {redirected}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["sh", "-c", line, sys.executable], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
@pytest.mark.parametrize(
    ("words", "code"), [("models --json", 0), ("models", 0), ("boggus", NO_SUCH_COMMAND), ("verify gone.onnx", 2)]
)
def test_words_that_cannot_be_written_change_nothing(words: str, code: int, stderr: str, tmp_path: Path) -> None:
    done = shell(words, stderr, tmp_path)
    assert (done.returncode, done.stdout) == (code, shell(words, "2>/dev/null", tmp_path).stdout)
    assert bool(done.stdout) == (code == 0)


@pytest.mark.parametrize("words", ["models", "models --json", "models -q --json", "--help"])
@pytest.mark.parametrize("stdout", [">&-", "1</dev/null"])
def test_data_that_cannot_be_written_is_one_error(words: str, stdout: str, tmp_path: Path) -> None:
    done = shell(words, stdout, tmp_path)
    assert done.returncode == UNWRITTEN
    assert done.stderr.startswith("error: cannot write the output of this command: ")
    assert done.stderr.count("error") == 1 and "Traceback" not in done.stderr
    assert shell(words, f"{stdout} 2>&-", tmp_path).returncode == UNWRITTEN


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    """What native code and processes write to descriptor 2 would stand in the first file that was opened."""
    program = (
        "import os, sys; sys.argv[1:] = ['models', '--json']\n"
        "import edgevit_export.__main__ as entry\n"
        "entry.run = lambda _: (os.open(sys.executable, os.O_RDONLY) < 3) + os.system('echo lost >&2')\n"
        "entry.main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = 'exec "$0" -c "$1" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", line, sys.executable, program], env=environment, check=False).returncode == 0


def test_json_is_whole_beside_a_stderr_that_is_missing(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    assert run(["models", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["schema_version"] == 1


def test_a_stream_is_passed_through_as_it_is() -> None:
    inner = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    stream = unfailing(inner)
    assert unfailing(stream) is stream
    assert (stream.encoding, stream.isatty(), stream.writable(), stream.buffer) == (
        "latin-1", False, True, inner.buffer
    )  # fmt: skip
    assert stream.write("größe") == 5
    stream.flush()
    assert inner.buffer.getvalue() == "größe".encode("latin-1")  # type: ignore[attr-defined]
    stream.close()
    stream.close()
    assert inner.closed
    assert (stream.write("more"), stream.isatty()) == (4, False)
    missing = unfailing(None)
    assert (missing.write("x"), missing.encoding, missing.isatty()) == (1, "utf-8", False)
    with pytest.raises(io.UnsupportedOperation):
        missing.fileno()


def test_the_streams_are_those_of_before_behind_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    before = sys.stderr
    with dependable_streams():
        with pytest.raises(OSError, match="it is closed"):
            print("data")
        assert sys.stderr is not before
    assert (sys.stdout, sys.stderr) == (None, before)


def test_what_is_left_in_a_stream_that_is_full_goes_nowhere() -> None:
    with Path("/dev/full").open("w") as full:
        full.write("x")
        flush_or_forget(full)
    flush_or_forget(None)
