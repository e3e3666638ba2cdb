"""Small changes to a module's source, each of which a test ought to notice; used by ``mutants.py``.

Left alone is what is no behaviour: docstrings and all other strings, f-strings, the texts of errors, annotations,
decorators, the options of classes, assertions, what is printed or logged, and ``strict=``, which only asserts.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
PAIRS = (("min", "max"), ("any", "all"), ("minimum", "maximum"), ("floor", "ceil"), ("nanmin", "nanmax"))
SWAPPED = {name: other for a, b in PAIRS for name, other in ((a, b), (b, a))}
TOLD = frozenset({"print", "log", "logger", "logging", "warnings"})
CONDITIONAL = (ast.If, ast.While, ast.IfExp)
ITSELF = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Constant)  # conditions that have changes of their own


@dataclass(frozen=True)
class Mutation:
    """One change of one module.

    Attributes:
        id: Made of the module, the line's text and the change, so that it stays when lines move.
        module: Path of the file, relative to the tree.
        line: Number of the line, from 1.
        text: The line without its indent.
        change: Before and after, in words short enough for a table.
        start: Where in the file's bytes the change begins.
        end: Where it ends; what stands between is replaced.
        replacement: What is put there.
    """

    id: str
    module: str
    line: int
    text: str
    change: str
    start: int
    end: int
    replacement: str

    def applied(self, source: str) -> str:
        """The whole source with the change."""
        whole = source.encode()
        return (whole[: self.start] + self.replacement.encode() + whole[self.end :]).decode()


@dataclass(frozen=True)
class _Edit:
    node: ast.AST
    change: str
    replacement: str
    before: bool = False  # put before the node, which stays


def mutations(module: str, source: str) -> list[Mutation]:
    """Every change of a module, from top to bottom."""
    lines = source.splitlines(keepends=True)
    offsets = [0, *accumulate(len(line.encode()) for line in lines)]
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for edit in _edits(ast.parse(source)):
        node = edit.node
        text = lines[node.lineno - 1].strip()
        key = (text, edit.change)
        digest = hashlib.sha256(repr((module, *key, seen[key])).encode()).hexdigest()
        seen[key] += 1
        start = offsets[node.lineno - 1] + node.col_offset
        end = start if edit.before else offsets[node.end_lineno - 1] + node.end_col_offset
        found.append(Mutation(digest[:10], module, node.lineno, text, edit.change, start, end, edit.replacement))
    return sorted(found, key=lambda each: each.line)


def _edits(node: ast.AST) -> Iterator[_Edit]:
    yield from _own_edits(node)
    for child in _behaviour(node):
        yield from _edits(child)


def _behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """The children that are behaviour."""
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr) or _only_tells(node):
        return
    skipped: list[object] = []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        skipped = [*node.decorator_list, node.returns]
    elif isinstance(node, ast.ClassDef):
        skipped = [*node.decorator_list, *node.bases, *node.keywords]
    elif isinstance(node, ast.arg | ast.AnnAssign):
        skipped = [node.annotation]
    elif isinstance(node, ast.keyword) and node.arg == "strict":
        skipped = [node.value]
    yield from (child for child in ast.iter_child_nodes(node) if not any(child is each for each in skipped))


def _only_tells(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    called = node.value.func
    while isinstance(called, ast.Attribute):
        called = called.value
    return isinstance(called, ast.Name) and called.id in TOLD


def _own_edits(node: ast.AST) -> Iterator[_Edit]:
    match node:
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp() | ast.BinOp() | ast.AugAssign():
            yield from _operators(node)
        case ast.Constant(value=bool() | int() | float()):
            yield _constant(node)
        case ast.Slice():
            yield from _bounds(node)
        case ast.Call(func=ast.Name() | ast.Attribute()):
            yield from _swapped_call(node)
        case ast.Expr(value=ast.Call()) if not _only_tells(node):
            yield _Edit(node, f"{_short(node)} -> dropped", "pass")
        case ast.Raise():
            yield _Edit(node, "raise -> dropped", "pass")
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and not value.value):
            yield _Edit(node, f"{_short(node)} -> return None", "return None")
        case ast.FunctionDef() if not _returns(node) and len(body := _without_docstring(node)) > 1:
            yield _Edit(body[0], "returns at once", f"return\n{' ' * body[0].col_offset}", before=True)
        case _:
            pass
    for condition in _conditions(node):
        if not isinstance(condition, ITSELF):
            yield _Edit(condition, f"{_short(condition)} -> not", f"(not ({ast.unparse(condition)}))")


def _operators(node: ast.Compare | ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.AugAssign) -> Iterator[_Edit]:
    match node:
        case ast.Compare(left, ops, comparators):
            for at, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    swapped = ast.Compare(left, [*ops[:at], other(), *ops[at + 1 :]], comparators)
                    yield _expression(node, swapped)
        case ast.BoolOp(op, values):
            yield _expression(node, ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
        case ast.UnaryOp(ast.Not() | ast.USub(), operand) if not isinstance(operand, ast.Constant):
            yield _expression(node, operand)
        case ast.BinOp(left, op, right) if type(op) in ARITHMETIC and not _is_text(left) and not _is_text(right):
            yield _expression(node, ast.BinOp(left, ARITHMETIC[type(op)](), right))
        case ast.AugAssign(target, op, value) if type(op) in ARITHMETIC and not _is_text(value):
            changed = ast.unparse(ast.AugAssign(target, ARITHMETIC[type(op)](), value))
            yield _Edit(node, f"{_short(node)} -> {changed}", changed)
        case _:
            pass


def _constant(node: ast.Constant) -> _Edit:
    value = node.value
    if isinstance(value, bool):
        return _expression(node, ast.Constant(not value))
    return _expression(node, ast.Constant(value + 1 if isinstance(value, int) else value * 2 or 1.0))


def _bounds(node: ast.Slice) -> Iterator[_Edit]:
    for bound in (node.lower, node.upper):
        if bound is not None and not isinstance(bound, ast.Constant):
            yield _expression(bound, ast.BinOp(bound, ast.Add(), ast.Constant(1)))


def _swapped_call(node: ast.Call) -> Iterator[_Edit]:
    called = node.func
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    if name in SWAPPED:
        text = ast.unparse(called).removesuffix(name) + SWAPPED[name]
        yield _Edit(called, f"{name} -> {SWAPPED[name]}", text)


def _conditions(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, CONDITIONAL):
        return [node.test]
    return node.ifs if isinstance(node, ast.comprehension) else []


def _expression(node: ast.expr, changed: ast.expr) -> _Edit:
    return _Edit(node, f"{_short(node)} -> {_short(changed)}", f"({ast.unparse(changed)})")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _returns(function: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Return | ast.Yield | ast.YieldFrom) for each in ast.walk(function))


def _without_docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    first = function.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.body[1:] if is_docstring else function.body


def _short(node: ast.AST) -> str:
    text = ast.unparse(node).replace("\n", " ")
    return text if len(text) <= 48 else f"{text[:45]}..."
