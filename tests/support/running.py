"""Wait for what processes of this machine do."""

from __future__ import annotations

import os
import time
from pathlib import Path


def running(mark: str) -> list[str]:
    """The processes of this machine whose command line holds ``mark``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in line and str(os.getpid()) != path.parent.name:
            found.append(line)
    return found


def wait_gone(mark: str) -> None:
    deadline = time.monotonic() + 5
    while running(mark):
        assert time.monotonic() < deadline, running(mark)
        time.sleep(0.02)


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 5
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)
    return path.read_text()
