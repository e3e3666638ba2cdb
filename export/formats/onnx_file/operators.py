"""ONNX's own operators as data, and why a call of one is refused."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from edgevit.records import Record

_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


class OperatorTable(Record):
    """The table as stored: the opsets at which each operator changed, and those at which one was dropped."""

    source: str
    dropped: dict[str, int]
    operators: dict[str, tuple[int, ...]]


@cache
def operator_table() -> OperatorTable:
    """The table that ships with the package."""
    text = files("export.formats.onnx_file").joinpath("onnx_operators.json").read_bytes()
    return OperatorTable.from_json(text, origin="onnx_operators.json")


def version_in(name: str, opset: int) -> int | None:
    """The opset that gave an operator the form which it has in ``opset``; None where it did not exist yet."""
    return max((since for since in operator_table().operators.get(name, ()) if since <= opset), default=None)


def why_not_standard(name: str, domain: str, opset: int) -> str | None:
    """Why not every runtime has this operator, or must not be asked for it; None if it may."""
    if domain:
        return f"of the domain '{domain}': not every ONNX runtime has it"
    if (version := version_in(name, opset)) is None:
        return f"not in opset {opset}"
    if operator_table().dropped.get(name) == version:
        return f"dropped in opset {opset}"
    return "it draws random numbers" if name in _RANDOM else None
