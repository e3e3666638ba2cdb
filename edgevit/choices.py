"""From a word that a user typed to the member of an enum."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from edgevit.errors import unknown_choice

Choice = TypeVar("Choice", bound=StrEnum)


def parse_choice(kind: str, choices: type[Choice], word: str) -> Choice:
    """The member of ``choices`` that ``word`` names; case does not matter and ``_`` stands for ``-``.

    Raises:
        UsageError: No member has that name; lists the choices and the closest match.
    """
    wanted = word.strip().lower().replace("_", "-")
    for member in choices:
        if member.value == wanted:
            return member
    raise unknown_choice(kind, word, [member.value for member in choices])
