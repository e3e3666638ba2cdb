"""The figures of docs/architecture.md: lines per room, sizes of files and functions, modules without their own test.

Run it in the repository's root: ``python benchmarks/structure.py``. It needs nothing but Python.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("edgevit", "export", "runtimes", "validation", "edgevit_export")


def lines_of(path: Path) -> int:
    """How many lines a file has, blank ones and comments included."""
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def function_lines(path: Path) -> list[int]:
    """The lines of every function and method, from ``def`` to the last statement."""
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions(path)]


def holds_logic(path: Path) -> bool:
    """Whether a function does anything; records, tables and protocols declare."""
    statements = [statement for node in functions(path) for statement in node.body]
    return any(not (isinstance(it, ast.Expr) and isinstance(it.value, ast.Constant)) for it in statements)


def percentiles(values: list[int]) -> str:
    """Columns of the values that 50, 90, 99 and 100 % of all values do not exceed."""
    ordered = sorted(values)
    chosen = [ordered[-(-percent * len(ordered) // 100) - 1] for percent in (50, 90, 99, 100)]
    return "".join(f"{value:>9}" for value in chosen)


def has_test(path: Path) -> bool:
    """Whether ``room/module.py`` is tested by ``tests/room/test_module.py``."""
    return (ROOT / "tests" / path.relative_to(ROOT)).with_name(f"test_{path.name}").exists()


def main() -> int:
    """Print the figures."""
    files = {room: sorted((ROOT / room).rglob("*.py")) for room in ROOMS}
    every = [path for paths in files.values() for path in paths]
    print(f"{'room':<16}{'files':>9}{'lines':>9}")
    for room, paths in [*files.items(), ("all rooms", every)]:
        print(f"{room:<16}{len(paths):>9}{sum(map(lines_of, paths)):>9}")
    tests = sorted((ROOT / "tests").rglob("*.py"))
    print(f"{'tests':<16}{len(tests):>9}{sum(map(lines_of, tests)):>9}\n")

    print(f"{'lines of a':<16}{'50 %':>9}{'90 %':>9}{'99 %':>9}{'largest':>9}")
    modules = [path for path in every if path.name != "__init__.py"]
    print(f"{'file':<16}{percentiles([lines_of(path) for path in modules])}")
    print(f"{'function':<16}{percentiles([lines for path in every for lines in function_lines(path)])}\n")

    untested = [path for path in modules if holds_logic(path) and not has_test(path)]
    print(f"{len(untested)} of {len(modules)} modules hold logic and have no test of their name")
    for path in untested:
        print(f"  {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
