"""Who holds a device: a process by all that tells it from others, and whether it is known to have ended.

Its number alone does not: a container has numbers of its own, and numbers are used again. So an owner is told by the
kernel and the number space that it lives in, its number, its start time, and a random word for each session.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

from edgevit.temporary import kernel_id

_OWNER = re.compile(r"(?P<who>\S+) pid (?P<pid>[0-9]{1,10}) (?P<place>[0-9a-f]{8})-(?P<start>[0-9]*)-[0-9a-f]{12}")


def new_owner() -> str:
    """This process for one session, on one line: ``USER@HOST pid N`` for people, and a word that tells it apart."""
    pid = os.getpid()
    return f"{_user()}@{socket.gethostname()} pid {pid} {_place()}-{_start_of(pid) or ''}-{secrets.token_hex(6)}"


def in_words(owner: str) -> str:
    """An owner for people."""
    return owner.rpartition(" ")[0]


def is_dead(owner: str, open_here: Iterable[str]) -> bool:
    """Whether ``owner`` was a process of this kernel and number space that is no more, or a session that ended here.

    Args:
        owner: What ``new_owner`` gave, here or elsewhere; what cannot be read is not known to be dead.
        open_here: The owners of the sessions that are open in this process.
    """
    match = _OWNER.fullmatch(owner)
    if match is None or match["place"] != _place():
        return False
    pid, start = int(match["pid"]), match["start"]
    if pid == os.getpid() and start == (_start_of(pid) or ""):
        return owner not in open_here
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass  # someone else's, and so alive, but perhaps another one
    seen = _start_of(pid)
    return bool(start) and seen is not None and seen != start


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        return f"user{os.getuid()}"


def _place() -> str:
    """The kernel and the number space in which this process has its number."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = socket.gethostname()
    return hashlib.sha256(f"{kernel_id()} {space}".encode()).hexdigest()[:8]


def _start_of(pid: int) -> str | None:
    """When a process was started, in clock ticks since boot; None where that is not told."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode("ascii", "replace")
    except OSError:
        return None
    fields = text.rpartition(") ")[2].split()
    return fields[19] if len(fields) > 19 else None  # field 22, the 20th behind the name
