"""Small files of the kernel, on this machine (or below a fake root) and on a device, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgevit.errors import MissedReadingError
from runtimes.devices.device import Device
from runtimes.devices.figures import number

__all__ = ["DeviceSysfs", "LocalSysfs", "Sysfs", "number", "sysfs_of"]

# $@ files; each is printed on one line, an empty one when it cannot be read.
_READ_ALL = 'for f in "$@"; do v=""; read -r v <"$f" 2>/dev/null; echo "$v"; done 2>/dev/null'


class LocalSysfs:
    """The files of this machine.

    Args:
        root: Directory that stands for ``/``.
    """

    place = "this machine"

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def read(self, paths: Sequence[str]) -> list[str | None]:
        """First line of each file; None where it cannot be read."""
        return [self._line(path) for path in paths]

    def _line(self, path: str) -> str | None:
        try:
            lines = (self._root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        return lines[0].strip() if lines else ""

    def glob(self, pattern: str) -> list[str]:
        """Absolute paths that fit a shell pattern, sorted."""
        return sorted("/" + str(path.relative_to(self._root)) for path in self._root.glob(pattern.lstrip("/")))


class DeviceSysfs:
    """The files of a device, one round trip for all of a reading."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.place = device.serial

    def read(self, paths: Sequence[str]) -> list[str | None]:
        """First line of each file; None where it cannot be read."""
        answer = self._device.script(_READ_ALL, *paths, timeout_s=10.0)
        lines = answer.out.splitlines()
        if len(lines) != len(paths):
            raise MissedReadingError(
                f"{self.place}: asked for {len(paths)} files, got {len(lines)} lines: {answer.complaint}"
            )
        return [line.strip() or None for line in lines]

    def glob(self, pattern: str) -> list[str]:
        """Absolute paths that fit a shell pattern, sorted."""
        found = self._device.script(f'for f in {pattern}; do [ -e "$f" ] && echo "$f"; done; true')
        return sorted(found.out.split())


Sysfs = LocalSysfs | DeviceSysfs
"""Where kernel files are read; ``place`` names it in messages."""


def sysfs_of(device: Device) -> Sysfs:
    """The kernel files of ``device``; this machine's are read without a shell."""
    return LocalSysfs() if device.kind == "host" else DeviceSysfs(device)
