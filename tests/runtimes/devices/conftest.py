"""A place on the device."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A directory on the device (which here is this machine) with a name that needs quoting."""
    path = tmp_path / "remote $dir's"
    path.mkdir()
    return path
