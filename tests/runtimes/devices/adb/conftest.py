"""Files to send."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A file of 1.5 MB."""
    path = tmp_path / "model.tflite"
    path.write_bytes(os.urandom(1_500_000))
    return path


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file of 16 MiB, whose transfer can be cut in the middle."""
    path = tmp_path / "big $file.bin"
    path.write_bytes(os.urandom(1 << 20) * 16)
    return path
