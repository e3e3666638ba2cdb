"""Commands to be copied: every name in a hint or message stands there as a shell takes it, whatever it holds.

Needs the standard library alone, since it travels to devices with the runner.
"""

from __future__ import annotations

import os
import shlex
from pathlib import PurePath


def command_line(*words: str | PurePath) -> str:
    """The one shell line that runs ``words``, each as it is; see ``quoted``."""
    return " ".join(map(quoted, words))


def quoted(word: str | PurePath) -> str:
    r"""``word`` as it is typed into a shell.

    A path that begins with ``-`` gets ``./`` before it, so that no program takes it for an option. Where something is
    not seen as itself (control and direction marks, bytes that are no UTF-8) it is ``$'a\033b'``, as bash and zsh have
    it: whatever is shown then is printable, and stays as it is on the way to a terminal.
    """
    text = str(word)
    if isinstance(word, PurePath) and text.startswith("-"):
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    if char.isprintable():
        return char
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(char))
