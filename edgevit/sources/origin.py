"""Where in somebody else's code an error arose, in the words of an error of ours."""

from __future__ import annotations

import traceback
from pathlib import Path

from edgevit.errors import first_line
from edgevit.text import printable

_OURS = str(Path(__file__).parents[1])
_LIBRARY = ("torch", "importlib", "<frozen")


def told_with_line(error: BaseException) -> str:
    """``ValueError: 7 classes (net.py:12, in make)``: the last line that is neither torch's nor this package's.

    Where all lines are torch's or ours, the last one that is not ours.
    """
    words = f"{type(error).__name__}: {printable(first_line(error))}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{words} ({printable(error.filename)}:{error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_OURS)]
    own = [frame for frame in frames if not _is_library(frame.filename)] or frames
    if not own:
        return words
    return f"{words} ({printable(own[-1].filename)}:{own[-1].lineno}, in {own[-1].name})"


def _is_library(file: str) -> bool:
    parts = Path(file).parts
    return file.startswith("<") or any(part in _LIBRARY for part in parts)
