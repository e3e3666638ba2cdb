"""Class names from a text file, one a line."""

from __future__ import annotations

from pathlib import Path

from edgevit.errors import UsageError


def read_labels(path: Path) -> tuple[str, ...]:
    """The class names in ``path``, in the order of the logits; UTF-8, empty lines at the end are ignored.

    Raises:
        UsageError: Unreadable, not UTF-8, without names, or an empty line between names.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read labels {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"labels {path} are not UTF-8 text: byte {error.start} is not valid") from error
    names = tuple(line.strip() for line in text.rstrip().split("\n"))
    if names == ("",):
        raise UsageError(f"labels {path} hold no names, expected one class name a line")
    if "" in names:
        raise UsageError(f"labels {path}: line {names.index('') + 1} is empty, and every line names a class")
    return names
