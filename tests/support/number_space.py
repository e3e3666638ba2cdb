"""Processes that are number 1 of a space of their own, as the first one of every container is.

Run as ``python number_space.py KIND PATH [TEXT]``: does what KIND says with PATH, tells its own number and waits for a
line wherever it holds something.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgevit.records import atomic_path
from edgevit.temporary import exclusive, remove_abandoned, temporary_directory

ROOT = Path(__file__).parents[2]
OWN_SPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def _works() -> bool:
    try:
        said = subprocess.run([*OWN_SPACE, "sh", "-c", "echo $$"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.stdout == b"1\n"


needs_number_space = pytest.mark.skipif(
    shutil.which("unshare") is None or not _works(), reason="this user may not make number spaces (unshare --pid)"
)


class ProcessOne:
    """A process 1 that runs ``main`` of this file; a context manager that ends it."""

    def __init__(self, kind: str, path: Path, text: str = "") -> None:
        self._process = subprocess.Popen(
            [*OWN_SPACE, sys.executable, __file__, kind, str(path), text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None and self._process.stdin is not None
        self.said = self._process.stdout.readline().split()
        assert self.said[0] == "1", "it is number 1"

    def go_on(self) -> None:
        """Let it finish."""
        self._process.communicate("\n", timeout=60)
        assert self._process.returncode == 0

    def kill(self) -> None:
        """End it at once, before it could go on."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate(timeout=60)

    def __enter__(self) -> ProcessOne:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()


def main(kind: str, path: Path, text: str) -> None:
    """See the module."""

    def hold(what: object) -> None:
        print(os.getpid(), what, flush=True)
        sys.stdin.readline()

    if kind == "record":
        with atomic_path(path) as temporary:
            temporary.write_text(text[: len(text) // 2])
            hold(temporary.name)
            temporary.write_text(text)
    elif kind == "staging":
        with temporary_directory(path) as place:
            (place / "half.onnx").touch()
            hold(place.name)
    elif kind == "exclusive":
        with exclusive(path):
            hold(path.name)
    elif kind == "sweep":
        remove_abandoned(path)
        print(os.getpid(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
