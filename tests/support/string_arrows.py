"""Import contracts that count what a module names in a string, too: a registry can point up as well as an import can.

import-linter loads the contracts by the names that pyproject.toml gives, with tests/support on PYTHONPATH.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from grimp import ImportGraph
from importlinter import ContractCheck
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

_MODULE_PATH = re.compile(r"(?P<module>[a-z_]\w*(\.\w+)+)(:\w+)?", re.IGNORECASE)
_BEGINNING = re.compile(r"(?P<module>[a-z_]\w*(\.\w*)+)", re.IGNORECASE)


class StringArrow(NamedTuple):
    """A module path that stands in a string."""

    line: int
    imported: str


def string_arrows(text: str, modules: frozenset[str]) -> Iterator[StringArrow]:
    """The modules that the strings of a source name, such as ``"export.build:build"``.

    The beginning of an f-string counts as the package that it reaches: ``f"export.formats.{name}"`` names
    ``export.formats``. What follows a module's own name (a function, a file of its package) is left off.

    Args:
        text: Python source.
        modules: Dotted names of the modules and packages that exist.
    """
    tree = ast.parse(text)
    beginnings = {
        id(node.values[0]): node.values[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        path = (_BEGINNING if id(node) in beginnings else _MODULE_PATH).fullmatch(node.value)
        found = _longest(path["module"], modules) if path else None
        if found is not None and ("." in found or id(node) in beginnings):
            yield StringArrow(node.lineno, found)


def _longest(path: str, modules: frozenset[str]) -> str | None:
    """The module that ``path`` starts with; the longest if there are several."""
    words = path.split(".")
    candidates = (".".join(words[:count]) for count in range(len(words), 0, -1))
    return next((name for name in candidates if name in modules), None)


class LayersWithStrings(LayersContract):
    """Layers, in a graph to which the arrows in strings are added."""

    type_name = "layers_with_strings"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Add the arrows, then check as for imports."""
        add_string_arrows(graph)
        return super().check(graph, verbose)


class ForbiddenWithStrings(ForbiddenContract):
    """Forbidden imports, in a graph to which the arrows in strings are added.

    Those of the table of formats are not: naming writers for whoever exports is what it is for.
    """

    type_name = "forbidden_with_strings"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Add the arrows, then check as for imports."""
        add_string_arrows(graph, but_of=frozenset({"export.formats.table"}))
        return super().check(graph, verbose)


def add_string_arrows(graph: ImportGraph, but_of: frozenset[str] = frozenset()) -> None:
    """Add what the modules of ``graph`` name in strings, apart from those in ``but_of``."""
    modules = frozenset(graph.modules)
    for importer in sorted(modules - but_of):
        text = _source(importer)
        for line, imported in string_arrows(text, modules):
            if imported != importer:
                graph.add_import(
                    importer=importer,
                    imported=imported,
                    line_number=line,
                    line_contents=text.splitlines()[line - 1].strip(),
                )


def _source(module: str) -> str:
    """The text of a module below the folder that lint-imports runs in, where pyproject.toml stands."""
    stem = Path(*module.split("."))
    file = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
    return file.read_text(encoding="utf-8")
