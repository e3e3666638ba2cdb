"""TFLite's builtin operators as data: name by code, and the lowest runtime that has each operator version."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from edgevit.records import Record

CUSTOM = "CUSTOM"
FIRST_RUNTIME = "1.5.0"  # the first that the operator table knows
FLEX_PREFIX = "Flex"
_REFUSED = {
    "it keeps a state in the runtime": (
        "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "VAR_HANDLE", "READ_VARIABLE",
        "ASSIGN_VARIABLE", "CALL_ONCE",
    ),
    "it draws random numbers": (
        "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "MULTINOMIAL", "STABLEHLO_RNG_BIT_GENERATOR",
    ),
    "it calls another graph of the file, which is not followed here": (
        "CALL", "STABLEHLO_COMPOSITE", "STABLEHLO_CASE", "STABLEHLO_WHILE", "STABLEHLO_REDUCE",
        "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SCATTER", "STABLEHLO_SORT", "STABLEHLO_CUSTOM_CALL",
    ),
}  # fmt: skip
_WHY_REFUSED = {name: why for why, names in _REFUSED.items() for name in names}


class BuiltinOperator(Record):
    """``since[v - 1]`` is the lowest runtime with version ``v``; empty for one that no runtime has a kernel for."""

    code: int
    since: tuple[str | None, ...]


class OperatorTable(Record):
    """The table as stored, with the source of its facts."""

    source: str
    operators: dict[str, BuiltinOperator]


@cache
def operator_table() -> OperatorTable:
    """The table that ships with the package."""
    text = files("export.formats.tflite_file").joinpath("tflite_operators.json").read_bytes()
    return OperatorTable.from_json(text, origin="tflite_operators.json")


@cache
def builtin_names() -> dict[int, str]:
    """Names of the schema's builtin operators by code, e.g. 3 -> ``CONV_2D``."""
    return {row.code: name for name, row in operator_table().operators.items()}


def since(name: str, version: int) -> str | None:
    """Lowest TFLite runtime that has ``version`` of the builtin ``name``, e.g. ``2.9.0``; None if none is known."""
    versions = operator_table().operators[name].since
    return versions[version - 1] if 1 <= version <= len(versions) else None


def why_not_standard(name: str, version: int, *, custom: bool) -> str | None:
    """Why the stock runtime does not have this operator, or must not be asked for it; None if it may."""
    if custom and name.startswith(FLEX_PREFIX):
        return f"{name} is a TensorFlow operator: it needs the Flex delegate (select TF ops)"
    if custom:
        return f"{name} is a custom operator: the stock runtime has no kernel for it"
    if since(name, version) is not None:
        return _WHY_REFUSED.get(name)
    versions = operator_table().operators[name].since
    if not versions:
        return f"no stock runtime has a kernel for {name}"
    return f"version {version} of {name} is in no released runtime; the highest known is {len(versions)}"


def newest(versions: Iterable[str]) -> str | None:
    """The highest of some dotted versions; None if there are none."""
    return max(versions, key=lambda version: [int(part) for part in version.split(".")], default=None)
