"""A file that is never asked for more than it holds.

A pickle says before each text how long it is. Python takes the memory for as many bytes as it is asked to read, then
looks whether they are there: 4 GiB for a text of four bytes.
"""

from __future__ import annotations

import io
import os
from pathlib import Path


class MeasuredFile(io.BufferedReader):
    """Reads a file as ``open(path, "rb")`` does."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "rb"))
        self._size_bytes = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """At most ``size`` bytes; what is asked for beyond the end costs nothing."""
        if size is not None and size > io.DEFAULT_BUFFER_SIZE:
            size = min(size, max(0, self._size_bytes - self.tell()))
        return super().read(size)
