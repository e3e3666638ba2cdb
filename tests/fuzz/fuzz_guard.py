"""What a reader may not do, and what it takes: files outside, programs, connections; memory and time.

Python's audit events show every file that Python opens, everywhere. Linux alone limits and measures the memory of one
input (``RLIMIT_AS``, ``/proc/self/clear_refs``); elsewhere the largest memory of the whole process so far stands in,
and on Windows nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

MEMORY_BYTES = 1 << 30
"""What one input may take beyond what the reader takes at rest. Chosen: small containers have four times it."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = frozenset(
    {
        "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
        "os.chown",
        "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile",
    }
)  # fmt: skip
_SECOND = frozenset({"os.rename", "os.link", "os.symlink", "shutil.move", "shutil.copyfile"})  # whose first is read
_RUNS = frozenset({"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pty.spawn"})


class Trespass(BaseException):
    """A reader tried what no reader may; no ``except Exception`` holds it."""


class Guard:
    """Watches one process by Python's audit events.

    Args:
        home: Where may be written.
        connects: Whether a socket of this machine may be connected to.
    """

    def __init__(self, home: Path, *, connects: bool) -> None:
        self._home = os.path.realpath(home)
        self._connects = connects
        self.watching = False
        self.seen: str | None = None
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.watching:
            return
        told = self._told(event, arguments)
        if told is not None:
            self.seen = self.seen or told
            raise Trespass(told)

    def _told(self, event: str, arguments: tuple[object, ...]) -> str | None:
        if event == "open":
            path, mode, flags = (*arguments, None, None)[:3]
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & _WRITES)
            return f"writes {path!r}" if writes and self._outside(path) else None
        if event in _CHANGES:
            path = arguments[1 if event in _SECOND else 0]
            return f"{event} {path!r}" if self._outside(path) else None
        if event in _RUNS:
            return f"{event} {arguments[:1]!r}"
        if event == "socket.connect" and not self._connects:
            return f"connects to {arguments[-1]!r}"
        if event == "pickle.find_class":
            return f"a pickle names {arguments!r}"
        return None

    def _outside(self, path: object) -> bool:
        if isinstance(path, int) or path is None:
            return False
        name = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        return name != os.devnull and not f"{name}/".startswith(f"{self._home}/")


def limit_memory(extra_bytes: int = MEMORY_BYTES) -> bool:
    """Let this process take no more than ``extra_bytes`` beyond what it has now; whether this system can."""
    status = _status("VmSize")
    if status is None:
        return False
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (status + extra_bytes, resource.RLIM_INFINITY))
    return True


def forget_peak() -> None:
    """Begin to measure the peak anew, where the system can."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123
        file.write("5")


def peak_bytes() -> int:
    """The most memory that this process held since ``forget_peak``; since its start where the system cannot tell."""
    found = _status("VmHWM")
    if found is not None:
        return found
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def resident_bytes() -> int:
    """What this process holds now, or the peak where the system does not tell."""
    return _status("VmRSS") or peak_bytes()


def _status(field: str) -> int | None:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            text = file.read()
    except OSError:
        return None
    match = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else None
