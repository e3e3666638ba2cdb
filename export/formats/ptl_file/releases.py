"""From which release on PyTorch Mobile runs a ``.ptl`` file: as tried with each of them.

``operator_history.json`` holds what the releases' own libraries say of the operators in which they differ;
``benchmarks/promises/lite_histories.py`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from edgevit.records import Record

RELEASES = ("1.8", "1.9", "1.10", "1.11", "1.12", "1.13", "2.1")
LAST = RELEASES[-1]  # of the stock builds: pytorch_android_lite 2.1.0

# The first release that accepts each bytecode. 1.8 knows 3 and 4; 1.9 says "between 3 and 5", 1.10 "3 and 7".
BY_BYTECODE = {3: "1.8", 4: "1.8", 5: "1.9", 6: "1.10", 7: "1.10", 8: "1.11"}
# The first release that reads each version of the file's format.
BY_FILE_VERSION = {6: "1.9", 7: "1.11", 8: "1.11", 9: "1.11", 10: "1.12"}
_WRITER = "written"
COMPLETE_UP_TO = 5
"""Up to this bytecode a file does not say how many operands an operator takes: there are as many as the schema of the
torch that wrote it has arguments. Later ones leave out what has its default value, and say how many are there."""


class HistoryTable(Record):
    """As stored: names of operators by what their history is, ``1.8:1 1.12:2``."""

    source: str
    operators: dict[str, tuple[str, ...]]


@cache
def histories() -> dict[str, dict[str, int | None]]:
    """By operator, from which release on it takes how many arguments; None: not there. Only those that changed."""
    text = files("export.formats.ptl_file").joinpath("operator_history.json").read_bytes()
    table = HistoryTable.from_json(text, origin="operator_history.json")
    return {name: _steps(history) for history, names in table.operators.items() for name in names}


def _steps(history: str) -> dict[str, int | None]:
    pairs = (step.split(":") for step in history.split())
    return {release: None if count == "-" else int(count) for release, count in pairs}


def runs(release: str, operator: str, bytecode: int, given: int | None = None) -> bool:
    """Whether a release has ``operator`` and takes the operands that a file of this bytecode gives it.

    Args:
        release: One of ``RELEASES``.
        operator: With its overload, ``aten::mean.dim``.
        bytecode: Of the file.
        given: How many operands the file says there are; None where it does not say.
    """
    if operator not in histories():
        return True
    steps = histories()[operator]
    taken = _at(steps, release)
    if taken is None:
        return False
    if bytecode <= COMPLETE_UP_TO:
        written = steps.get(_WRITER, _at(steps, LAST))
        return written is None or taken == written
    return given is None or given <= taken


def _at(steps: dict[str, int | None], release: str) -> int | None:
    known = [count for first, count in steps.items() if first != _WRITER and not _older(release, first)]
    return known[-1] if known else None


def lowest(bytecode: int, file_version: int, operators: Iterable[tuple[str, int | None]]) -> str:
    """The first release from which on every one runs a file.

    Args:
        bytecode: Of the file.
        file_version: Of its archive.
        operators: Each with how many operands the file gives it.
    """
    found = [BY_BYTECODE.get(bytecode, LAST), BY_FILE_VERSION.get(file_version, RELEASES[0])]
    found += [_from(operator, bytecode, given) for operator, given in operators]
    return max(found, key=RELEASES.index)


def since(operator: str) -> str | None:
    """The first release that has ``operator``; None where all of them have."""
    first = _from(operator, COMPLETE_UP_TO + 1, None)
    return None if first == RELEASES[0] else first


def _from(operator: str, bytecode: int, given: int | None) -> str:
    """The release behind the last one that does not run ``operator``; the last where that is none."""
    lacking = [place for place, release in enumerate(RELEASES) if not runs(release, operator, bytecode, given)]
    return RELEASES[min(lacking[-1] + 1, len(RELEASES) - 1)] if lacking else RELEASES[0]


def _older(release: str, other: str) -> bool:
    return RELEASES.index(release) < RELEASES.index(other)
