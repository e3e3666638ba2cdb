"""The one tree of errors; every room raises from it and the front door turns it into an exit code.

    EdgevitExportError
    ├── UsageError               exit 2  the request itself is wrong: unknown choice, bad combination, bad path
    │   └── CheckpointError      exit 2  a weights file that cannot be used
    ├── MissingDependencyError   exit 3  a package or tool that this request needs is not installed
    ├── DeviceError              exit 4  a device was lost, refused, or answered nonsense
    │   ├── DeviceLostError      exit 4  the connection ended: a pulled cable, a daemon that died
    │   ├── DeviceTimeoutError   exit 4  a deadline passed; what was running was killed
    │   ├── RestoreError         exit 4  something on a device is not as it was found
    │   └── MeterError           exit 4  the same for a power meter
    │       └── MissedReadingError  exit 4  one reading failed, and the next may not
    └── FailureError             exit 5  we could not finish: the base of
        ├── ExportError          exit 5  a model could not be captured, lowered or written
        ├── ArtifactError        exit 5  a file on disk is not what its name or manifest says
        │   └── ImpossibleError  exit 5  a record holds a figure that nothing real has
        └── SessionError         exit 5  a runtime could not load or run an artifact

A verdict (parity, audit, benchmark validity) is never an error: it is data with ``passed=False`` and exit code 1.
A message says what failed, on what, what was expected against what was seen, and the choices; ``hint`` is the next
command to run. A word that must name one of several things is looked up, or refused in one way, by ``parse_choice`` and
``unknown_choice``.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from typing import ClassVar, TypeVar

from edgevit.installation import install_extra, install_packages

Choice = TypeVar("Choice", bound=StrEnum)


# What no program can help, and no other words on the command line: no room, no such stream, a disk that fails.
_OF_THE_SYSTEM = (
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EBADF, errno.EROFS
)  # fmt: skip


def is_of_the_system(error: OSError) -> bool:
    """Whether the system could not, where the request may well be right: a full disk above all."""
    return error.errno in _OF_THE_SYSTEM


class EdgevitExportError(Exception):
    """Base of all errors that are meant for a person to read.

    Args:
        message: What failed, on what, expected against seen.
        hint: The next command or step, without the word "hint".
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(EdgevitExportError):
    """The request itself is wrong."""

    exit_code = 2


class CheckpointError(UsageError):
    """A weights file that cannot be used for the model that was asked for."""


class MissingDependencyError(EdgevitExportError):
    """A package or external tool is not installed; the hint is the exact install command.

    Args:
        message: What failed, for want of what.
        extra: The extra of this project that brings it; the hint installs it for the way that this was installed.
        packages: Packages that bring it, where no extra is so small.
        hint: How to get what is no Python package.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, extra: str | None = None, packages: tuple[str, ...] = (), hint: str | None = None
    ) -> None:
        if extra is not None:
            hint = install_extra(extra)
        elif packages:
            hint = install_packages(*packages)
        super().__init__(message, hint=hint)


class DeviceError(EdgevitExportError):
    """A device was lost, refused the work, or answered nonsense."""

    exit_code = 4


class DeviceLostError(DeviceError):
    """The connection to a device ended while it was in use."""


class DeviceTimeoutError(DeviceError):
    """A device did not answer, or a command on it did not end, within its deadline."""


class RestoreError(DeviceError):
    """Something on a device is not as it was found; the journal of changes is kept."""


class MeterError(DeviceError):
    """A power meter was lost, refused the work, or answered nonsense."""


class MissedReadingError(MeterError):
    """One reading of a power meter failed; the next may succeed."""


class FailureError(EdgevitExportError):
    """The work was well asked for but could not be finished."""


class ExportError(FailureError):
    """A model could not be captured, lowered or written."""


class ArtifactError(FailureError):
    """A file on disk is not what its name or manifest says."""


class ImpossibleError(ArtifactError, ValueError):
    """A record holds what nothing real has; as a ValueError too, since msgspec then adds the path of the field."""


class SessionError(FailureError):
    """A runtime could not load or run an artifact."""


def parse_choice(kind: str, choices: type[Choice], word: str) -> Choice:
    """The member of ``choices`` that ``word`` names; case does not matter and ``_`` stands for ``-``.

    Raises:
        UsageError: No member has that name; lists the choices and the closest match.
    """
    wanted = word.strip().lower().replace("_", "-")
    for member in choices:
        if member.value == wanted:
            return member
    raise unknown_choice(kind, word, choices)


def unknown_choice(kind: str, seen: str, choices: Iterable[str]) -> UsageError:
    """Build the error for a name that is not among ``choices``, with the closest match as hint."""
    known = sorted(choices)
    inside = [name for name in known if len(seen) > 2 and seen.lower() in name]
    close = inside if len(inside) == 1 else get_close_matches(seen.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else None
    return UsageError(f"unknown {kind} '{seen}': choose from {', '.join(known)}", hint=hint)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, to be quoted in one of ours; the name of its class where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
