"""Temporary files and directories beside the final ones, where other processes, containers and hosts write as well.

A process id does not tell whose a file is: every container has a process 1. So names are random and made exclusively,
and who made one holds a lock on it (``flock``) while it is in use, which the kernel frees however its process ends.
What nobody holds is abandoned; whoever removes it holds the lock meanwhile.

Other kernels see a lock only where the file system shares it, and some have none. So what was made under another
kernel (another host, or this one before it was started anew), and all of a file system without locks, counts as
abandoned after ``ABANDONED_S``.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

ABANDONED_S = 2 * 86400.0  # chosen, because no export takes a day, and clocks of hosts are not days apart
EXCLUSIVE_S = 60.0  # chosen, because it is a hundred times what moving some files takes
_POLL_S = 0.02  # chosen, because it is short against moving a file
_TRIES = 100  # chosen: a name of 64 random bits is taken once, if ever
_LOCK = "lock"
# What a file system says that has no locks (network and FUSE ones).
NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
_OURS = re.compile(r"\.edgevit-(?P<kernel>[0-9a-f]{8})-[0-9a-f]{16}\.(staging|partial(\..*)?)")
_OF_OLD = re.compile(r"\.staging-\d+-.*|\..+\.\d+\.partial(\..*)?")  # what versions before these names left


class _Claim(NamedTuple):
    """An open file that is ours; ``locked`` where the file system has locks to say so."""

    descriptor: int
    locked: bool


@cache
def kernel_id() -> str:
    """What tells the kernel that runs this from all others: its boot id, or where there is none the host's name."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        text = socket.gethostname()
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk.

    Raises:
        OSError: The disk does not take it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def temporary_file(directory: Path, suffix: str = "") -> Iterator[Path]:
    """An empty file in ``directory`` that is gone afterwards, unless it was moved; its name ends in ``suffix``.

    Raises:
        OSError: No file can be made there.
    """

    def claimed(path: Path) -> _Claim | None:
        return _claim(path, os.O_CREAT | os.O_EXCL)

    path, claim = _fresh(directory, f"partial{suffix}", claimed)
    try:
        yield path
    finally:
        with suppress(OSError):  # what ended the block is what counts
            path.unlink()
        os.close(claim.descriptor)


@contextmanager
def temporary_directory(parent: Path) -> Iterator[Path]:
    """An empty directory in ``parent``, but for its lock, that is gone afterwards with all that is in it.

    Raises:
        OSError: No directory can be made there.
    """

    def claimed(path: Path) -> _Claim | None:
        path.mkdir(mode=0o700)
        try:
            return _claim(path / _LOCK, os.O_CREAT | os.O_EXCL)
        except FileNotFoundError:
            return None  # taken for abandoned, as it had no lock yet
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise

    path, claim = _fresh(parent, "staging", claimed)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(claim.descriptor)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Run the block while no other process is in one for ``path``: a file that is made for it and removed behind it.

    On a file system without locks nothing is waited for.

    Raises:
        TimeoutError: Another process did not leave it for ``EXCLUSIVE_S``.
        OSError: The file cannot be made.
    """
    deadline = time.monotonic() + EXCLUSIVE_S
    while (claim := _claim(path, os.O_CREAT)) is None:
        if time.monotonic() > deadline:
            text = f"another process has held {path} for {EXCLUSIVE_S:.0f} s"
            raise TimeoutError(errno.ETIMEDOUT, text)
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(claim.descriptor)


def remove_abandoned(directory: Path) -> None:
    """Remove from ``directory`` what processes have left that no longer run; what cannot be removed does no harm."""
    with suppress(OSError):
        for path in list(directory.iterdir()):
            match = _OURS.fullmatch(path.name)
            if match or _OF_OLD.fullmatch(path.name):
                with suppress(OSError):
                    _remove_abandoned(path, match["kernel"] if match else None)


def _remove_abandoned(path: Path, kernel: str | None) -> None:
    found = path.lstat()
    is_old = time.time() - found.st_mtime > ABANDONED_S
    is_directory = stat.S_ISDIR(found.st_mode)
    if not is_old and kernel != kernel_id():
        return
    lock, flags = (path / _LOCK, os.O_CREAT) if is_directory else (path, 0)
    claim = _claim(lock, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if claim is None:
        return  # in use
    try:
        if is_old or claim.locked:
            shutil.rmtree(path, ignore_errors=True) if is_directory else path.unlink()
    finally:
        os.close(claim.descriptor)


def _fresh(directory: Path, ending: str, claimed: Callable[[Path], _Claim | None]) -> tuple[Path, _Claim]:
    """A path of a random name, and what ``claimed`` made there; it gives None where another process was faster."""
    for _ in range(_TRIES):
        path = directory / f".edgevit-{kernel_id()}-{secrets.token_hex(8)}.{ending}"
        if (claim := claimed(path)) is not None:
            return path, claim
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _claim(path: Path, flags: int) -> _Claim | None:
    """Open ``path`` and lock it; None where another process was faster: it holds it, or has removed it meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDWR | flags, 0o666)
    except FileExistsError:
        return None
    except PermissionError:  # another user's: a lock does not need more
        descriptor = os.open(path, os.O_RDONLY | flags, 0o666)
    try:
        locked = _lock(descriptor)
        if locked is not None and os.path.samestat(os.fstat(descriptor), path.stat()):
            return _Claim(descriptor, locked)
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _lock(descriptor: int) -> bool | None:
    """Lock an open file: None where another process holds it, False where its file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        if error.errno in NO_LOCKS:
            return False
        raise
    return True
