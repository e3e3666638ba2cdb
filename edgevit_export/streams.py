"""The standard streams as a command has them: stderr on which nothing fails, stdout that is never missing.

What a person is told must not decide how the work ends: a log on a full disk, a terminal that is gone or a stderr that
a service was started without costs the words, and nothing else. Data on stdout is the work; there a failure is told.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOBase, UnsupportedOperation
from typing import TextIO, cast


class _Unfailing(TextIOBase):
    """A text stream that passes on what can be written; what cannot is dropped. ``inner`` may be missing."""

    def __init__(self, inner: TextIO | None) -> None:
        self._inner = inner

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute there
        """That of the stream."""
        return (self._inner and self._inner.encoding) or "utf-8"

    def write(self, text: str, /) -> int:
        """Write, or not."""
        if self._inner is not None:
            with suppress(OSError, ValueError):  # ValueError: it is closed
                self._inner.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or not."""
        if self._inner is not None:
            with suppress(OSError, ValueError):
                self._inner.flush()

    def close(self) -> None:
        """Close; what was not written until now is lost."""
        if self._inner is not None:
            with suppress(OSError, ValueError):
                self._inner.close()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with suppress(ValueError):
            return self._inner is not None and self._inner.isatty()
        return False

    def fileno(self) -> int:
        """Its descriptor, where it has one."""
        if self._inner is None:
            raise UnsupportedOperation("fileno")
        return self._inner.fileno()

    def writable(self) -> bool:
        """It takes text."""
        return True

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        """Leave the stream open: it belongs to others."""


class _Absent(TextIOBase):
    """A stream with which this process was not started: it takes nothing."""

    encoding = "utf-8"

    def write(self, text: str, /) -> int:
        """Refuse."""
        raise OSError(errno.EBADF, "it is closed")

    def writable(self) -> bool:
        """So says who wants to write."""
        return True


def unfailing(stream: TextIO | None) -> TextIO:
    """``stream``, or none, as one on which nothing fails."""
    return stream if isinstance(stream, _Unfailing) else cast(TextIO, _Unfailing(stream))


@contextmanager
def dependable_streams() -> Iterator[None]:
    """For the block, a stderr on which nothing fails, and a stdout that tells when it is closed."""
    before = sys.stdout, sys.stderr
    sys.stderr = unfailing(sys.stderr)
    if sys.stdout is None:
        sys.stdout = cast(TextIO, _Absent())
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def occupy_closed_descriptors() -> None:
    """Let descriptors 0 to 2 lead nowhere where they are closed.

    The next file that is opened would get the number, and with it what native code and processes write to theirs.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one
            os.set_inheritable(opened, True)


def forget(stream: TextIO | None) -> None:
    """Let what is still to be written to ``stream`` go nowhere: the interpreter would try again as it ends."""
    if stream is None:
        return
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def flush_or_forget(stream: TextIO | None) -> None:
    """Write what is left; what cannot be written must not change the exit code as the interpreter ends."""
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        forget(stream)
