"""Numbers in what devices say: ASCII digits, finite, and of a length that something real has; None for all else."""

from __future__ import annotations

import math
import re

_WHOLE = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,3})?")
_FIRST = re.compile(rf"\s*({_NUMBER.pattern})(?![\w.])")


def whole(text: str | None) -> int | None:
    """The integer of up to 19 digits that ``text`` is, whatever space is around it."""
    stripped = (text or "").strip()
    return int(stripped) if _WHOLE.fullmatch(stripped) else None


def number(text: str | None) -> float | None:
    """The finite decimal number that ``text`` is, whatever space is around it."""
    stripped = (text or "").strip()
    return _finite(stripped) if _NUMBER.fullmatch(stripped) else None


def first_number(text: str | None) -> float | None:
    """The finite decimal number that ``text`` begins with, as a word of its own."""
    match = _FIRST.match(text or "")
    return _finite(match[1]) if match else None


def within(value: float | None, low: float, high: float) -> float | None:
    """``value``, where it lies between ``low`` and ``high``; None where nothing real is so."""
    return value if value is not None and low <= value <= high else None


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
