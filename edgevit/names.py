"""File names made of what somebody else wrote: a device's serial, a model's name, a file that a record speaks of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from edgevit.text import printable

LONGEST_BYTES = 255  # of a file name, on every usual file system
KEPT_BYTES = 140  # chosen: what is put behind a name (recipe, suffixes, the marks of temporary files) takes up to 100

_ADDRESS = re.compile(r"([\w-]*\.[\w.-]*):(\d{4,5})", re.ASCII)  # a device on the network; was host_port ever since
_OWN = re.compile(r".*(?:\..*_\d{4,5}|-x[0-9a-f]{8})")  # looks like what a changed name has become
# Devices of Windows, whatever follows the first dot.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³]|conin\$|conout\$)(?:\..*)?", re.IGNORECASE)


def file_name(text: str) -> str:
    """A file name for ``text``, on every file system, that stays in its directory, of at most 150 bytes.

    Letters, digits and ``. _ -`` stay, everything else becomes ``_``. What was changed ends in a hash of the whole
    text, so that two names that were made alike are still two. ``192.168.0.7:5555`` is ``192.168.0.7_5555``.
    """
    if address := _ADDRESS.fullmatch(text):
        return "_".join(address.groups())
    kept = "".join(char if char.isalnum() or char in "._-" else "_" for char in text).rstrip(".")
    if kept[:1] in ("", ".", "-") or _RESERVED.fullmatch(kept):  # hidden, taken for an option, or a device
        kept = f"_{kept}"
    kept = kept.encode()[:KEPT_BYTES].decode(errors="ignore")
    if kept == text and not _OWN.fullmatch(text):
        return text
    return f"{kept}-x{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def why_not_beside(name: str) -> str | None:
    """Why ``name`` cannot be that of a file beside another one; None where it can."""
    if name in ("", ".", ".."):
        return "it names no file"
    if "/" in name or "\\" in name:
        return "it leads elsewhere"
    if not name.isprintable():
        return "it holds characters that cannot be printed"  # NUL, newline, escape sequences, lone surrogates
    if (size := len(name.encode())) > LONGEST_BYTES:
        return f"it has {size} bytes, where a file name has at most {LONGEST_BYTES}"
    return None


def tensor_names_problem(inputs: Sequence[str], outputs: Sequence[str]) -> str | None:
    """Why no file can name its tensors so; None where it can."""
    names = [*inputs, *outputs]
    odd = [name for name in names if not name.isprintable() or not name or " " in name]
    if odd:
        return f"'{printable(odd[0])}' is no name of a tensor: expected no blanks, and no characters that are not seen"
    if twice := [name for name in names if names.count(name) > 1]:
        return f"'{twice[0]}' is the name of two tensors: expected one for each input and output"
    return None
