"""Something to change, and another process that changes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import session_child
from steered_host import SteeredHost


@pytest.fixture
def knob(tmp_path: Path) -> Path:
    """Something on the device that can be changed."""
    path = tmp_path / "a knob's $name"
    path.write_text("old value")
    return path


@pytest.fixture
def child(tmp_path: Path, knob: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this program, in the middle of a session on this host."""
    process = subprocess.Popen(
        [sys.executable, session_child.__file__, str(tmp_path / "host scratch"), str(knob)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.wait(5)
    process.stdout.close()


@pytest.fixture
def host(tmp_path: Path) -> SteeredHost:
    """This host, steered by the test."""
    return SteeredHost(tmp_path / "scratch")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """The lock on the host."""
    return tmp_path / "scratch" / "session"
