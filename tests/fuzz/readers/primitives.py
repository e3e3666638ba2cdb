"""Which functions of the project read bytes or texts by a primitive of the language or of a library, by its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOMS = ("edgevit", "export", "runtimes", "validation", "edgevit_export")
CALLED = frozenset(
    {
        "loads", "load", "load_file", "load_model", "decode", "from_json", "ParseFromString",
        "frombuffer", "fromfile", "loadtxt", "genfromtxt", "read_array", "open_memmap",
        "unpack", "unpack_from", "iter_unpack", "from_bytes", "b64decode", "a85decode", "fromhex", "literal_eval",
        "ZipFile", "is_zipfile", "reader", "DictReader", "Unpickler", "genops",
        "read_text", "read_bytes", "readline", "readlines", "splitlines", "fromisoformat", "fromtimestamp", "strptime",
        "match", "search", "fullmatch", "findall", "finditer", "isdigit", "isdecimal", "isnumeric",
        "parse_json", "parse_toml", "parse_number", "read_json", "read_arrays", "parse_bytes", "int", "float",
    }
)  # fmt: skip
"""Names of functions and methods, whatever they stand on."""
_CASTS = frozenset({"int", "float"})
_TEXTS = frozenset(
    {
        "text", "word", "words", "raw", "number", "value", "quota", "rc", "part", "parts", "cell", "peak", "index",
        "total", "plain", "match", "found", "fields", "row", "average", "counts", "size",
    }
)  # fmt: skip
"""Names that hold what was cut out of a text, in this project; a cast of anything else is one between numbers."""


@dataclass(frozen=True)
class Use:
    """A primitive in a function: ``module.py:Class.method`` and the primitive's name."""

    function: str
    primitive: str


def uses(root: Path) -> Iterator[Use]:
    """All of them in the five rooms, by module."""
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            module = str(path.relative_to(root))
            yield from (
                Use(f"{module}:{name}", primitive) for name, primitive in _in_tree(ast.parse(path.read_text("utf-8")))
            )


def _in_tree(tree: ast.Module) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, inside = waiting.pop()
        if isinstance(node, ast.Call) and (name := _called(node)) is not None:
            yield inside or "<module>", name
        for child in ast.iter_child_nodes(node):
            waiting.append((child, _name_of(child, inside)))


def _name_of(node: ast.AST, inside: str) -> str:
    """The outermost function that holds a node, as ``code.co_qualname`` begins."""
    if isinstance(node, ast.ClassDef) and "." not in inside and not inside.startswith("!"):
        return f"{node.name}."
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (not inside or inside.endswith(".")):
        return inside + node.name
    if isinstance(node, ast.Lambda) and not inside:
        return "<lambda>"
    return inside


def _called(call: ast.Call) -> str | None:
    """The primitive that a call is, or None; casts of what is a number already are none."""
    function = call.func
    name = (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
    if name not in CALLED or (isinstance(function, ast.Name) and name in {"load", "match", "search", "reader"}):
        return None
    if name in _CASTS and not (isinstance(function, ast.Name) and call.args and _may_be_text(call.args[0])):
        return None
    return name


def _may_be_text(value: ast.expr) -> bool:
    """Whether ``int`` or ``float`` of it may read a text: a group of a match, a word, a cell."""
    if isinstance(value, ast.Subscript):
        return _may_be_text(value.value)
    if isinstance(value, ast.Name):
        return value.id in _TEXTS
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        return value.func.attr in {"strip", "group", "get", "removesuffix", "removeprefix", "replace", "partition"}
    return False
