"""A real file system that is full soon: a tmpfs of some KiB, which only root can mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def mounted(directory: Path, *, size_kib: int, options: str = "") -> Iterator[Path]:
    """``directory``, made if need be, with ``size_kib`` of room; what is in it is gone afterwards."""
    directory.mkdir(exist_ok=True)
    settings = f"size={size_kib}k{options}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", settings, "tmpfs", str(directory)], check=True, timeout=30)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True, timeout=30)
