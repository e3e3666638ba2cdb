"""Which layers a converter's error is about: it names operators, the graph knows where they come from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from export.artifact import MODULES_NAMED

if TYPE_CHECKING:
    from export.program import Program

_OPERATOR = re.compile(r"\baten(?:::|\.)(\w+)")  # aten::linalg_inv, torch._ops.aten.linalg_inv.default


def layers_named(text: str, program: Program) -> tuple[str, ...]:
    """A line for each operator in ``text`` that the network calls: ``aten::linalg_inv is called in mix.1``.

    A converter may name what it made of a call: ``_linalg_det`` or ``linalg_inv_ex`` for ``linalg_det`` and
    ``linalg_inv``. Nothing where none is named, or it stands in no module.
    """
    places: dict[str, list[str]] = {}
    for operator in dict.fromkeys(_OPERATOR.findall(text)):
        for called, module in _calls(program):
            if module and f"{operator.strip('_')}_".startswith(f"{called.strip('_')}_"):
                places.setdefault(called, []).append(module)
    return tuple(_line(called, list(dict.fromkeys(modules))) for called, modules in places.items())


def _calls(program: Program) -> list[tuple[str, str]]:
    """Operator and module of every call."""
    from export.program import module_of

    return [
        (node.target._schema.name.rpartition("::")[2], module_of(node))
        for node in program.module.graph.nodes
        if node.op == "call_function" and hasattr(node.target, "_schema")
    ]


def _line(operator: str, modules: list[str]) -> str:
    more = f" and {len(modules) - MODULES_NAMED} more" if len(modules) > MODULES_NAMED else ""
    return f"aten::{operator} is called in {', '.join(modules[:MODULES_NAMED])}{more}"
