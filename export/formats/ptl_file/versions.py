"""Which bytecodes can be written, and which operators a ``.ptl`` file may call."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from edgevit.records import Record
from export.formats.ptl_file.releases import LAST

# The bytecodes that torch 2.13 can write beside its own, 8: its backport goes down to 4.
BYTECODES = (7, 6, 5, 4)

TOO_YOUNG = frozenset({"aten::rms_norm", "aten::_safe_softmax", "aten::_fused_rms_norm"})

# Why an operator is refused, where the list of what is allowed leaves that open: by how its name begins.
_REASONS = (
    (r"aten::(from_file|save)\b", "it opens files"),
    (r"aten::(set_?|set_data|resize\w*|data)\b", "it replaces a tensor's memory"),
    (r"aten::(new_)?empty", "it hands out memory that nobody has written"),
    (r"prim::(rpc_|fork|awaitable)|aten::wait\b|aten::fork", "it runs beside the network or calls other processes"),
    (r"aten::(set_grad_enabled|_cufft)", "it changes settings of the process"),
    (r"prim::Print|aten::(_print|warn)", "it prints"),
    (
        r"aten::(\w*rand\w*|\w*seed|Generator|_?standard_gamma|_sample_dirichlet|_?fused_dropout|bernoulli|binomial|"
        r"cauchy|exponential|geometric|log_normal|multinomial|\w*normal_?|normal_functional|poisson|\w*uniform_?|"
        r"rrelu_with_noise\w*)(?=\.|_?$)",
        "it reads or sets the process's random state",
    ),
)


class OperatorTable(Record):
    """The operators that a file may call, as stored; ``source`` says what each field means.

    ``operators`` has their names by "arguments returns", ``writes`` by the places of arguments: "3 4".
    """

    source: str
    idle: dict[str, int]
    operators: dict[str, tuple[str, ...]]
    writes: dict[str, tuple[str, ...]]
    trained: dict[str, int]
    makes_new: tuple[str, ...]
    lists: tuple[str, ...]


@cache
def operator_table() -> OperatorTable:
    """The table that ships with the package."""
    text = files("export.formats.ptl_file").joinpath("ptl_operators.json").read_bytes()
    return OperatorTable.from_json(text, origin="ptl_operators.json")


@cache
def arity() -> dict[str, tuple[int, int]]:
    """How many values each operator takes and gives, by name: ``aten::mean.dim`` takes 4 and gives 1."""
    return {
        name: (int(counts.split()[0]), int(counts.split()[1]))
        for counts, names in operator_table().operators.items()
        for name in names
    }


def base_name(operator: str) -> str:
    """An operator's name without its overload: ``aten::mean`` of ``aten::mean.dim``."""
    return operator.partition(".")[0]


def why_not_standard(operator: str) -> str | None:
    """Why the stock mobile runtime does not run ``operator``, or must not be asked to; None if it may."""
    if operator in arity():
        return None
    base = base_name(operator)
    if base.partition("::")[0] not in {"aten", "prim", "quantized", "prepacked"}:
        return "a custom operator: the stock mobile runtime does not have it"
    if base in TOO_YOUNG:
        return f"younger than the last stock mobile runtime ({LAST}.0)"
    found = next((why for pattern, why in _REASONS if re.match(pattern, base)), None)
    if found is None:
        return f"not among the operators of PyTorch {LAST}.0 that compute on tensors only"
    return f"{found}: a network computes on tensors only"
