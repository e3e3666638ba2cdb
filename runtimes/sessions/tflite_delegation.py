"""Which operators of a TFLite graph the XNNPACK delegate took, and why it left the others.

The runtime says which tensors each delegate partition reads and writes. A partition lists every tensor that it does
not make itself among its inputs, so the operators between the two are exactly its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby

from export.artifact import Delegation, Piece, left_outside
from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator, TfliteTensor
from export.formats.tflite_file.read import operator_modules

Partition = tuple[Sequence[int], Sequence[int]]
Unit = tuple[bool, set[int]]
"""Whether delegated, and the places in the file of the operators that run as one."""
_FLOATS = {"float32", "float16"}
_HYBRID = {"FULLY_CONNECTED", "CONV_2D"}  # that the delegate takes with int8 weights and float activations
_POOLS = {"AVERAGE_POOL_2D", "MAX_POOL_2D"}
_MAX_JOINED = 5  # tensors that the delegate joins in one CONCATENATION (xnnpack_delegate.cc)


def xnnpack_share(graph: TfliteGraph, partitions: Iterable[Partition], *, delegate: str = "XNNPACK") -> Delegation:
    """Count the operators inside ``partitions``, each given as (input tensors, output tensors)."""
    makers = {index: place for place, operator in enumerate(graph.operators) for index in operator.outputs}
    pieces = [_operators_between(graph, makers, *partition) for partition in partitions]
    taken: set[int] = set().union(*pieces)
    outside = [operator for place, operator in enumerate(graph.operators) if place not in taken]
    return Delegation(
        delegate=delegate,
        delegated=len(taken),
        total=len(graph.operators),
        partitions=len(pieces),
        left=tuple(_reasons(graph, outside)),
        pieces=tuple(_pieces(graph, _in_order(graph, makers, pieces, taken))),
    )


def _in_order(graph: TfliteGraph, makers: dict[int, int], pieces: list[set[int]], taken: set[int]) -> list[Unit]:
    """Partitions and single operators outside as they are executed: each behind all that it reads, else as in the file.

    A partition runs as a whole, so an operator that stands between two of its own in the file runs before or after it.
    """
    alone: list[Unit] = [(False, {place}) for place in range(len(graph.operators)) if place not in taken]
    waiting: list[Unit] = sorted([*((True, piece) for piece in pieces if piece), *alone], key=lambda unit: min(unit[1]))
    ordered: list[Unit] = []
    done: set[int] = set()
    while waiting:
        unit = next((unit for unit in waiting if _needs(graph, makers, unit[1]) <= done), waiting[0])
        waiting.remove(unit)
        ordered.append(unit)
        done |= unit[1]
    return ordered


def _needs(graph: TfliteGraph, makers: dict[int, int], unit: set[int]) -> set[int]:
    """The operators outside of ``unit`` whose results it reads."""
    return {makers[index] for place in unit for index in graph.operators[place].inputs if index in makers} - unit


def _pieces(graph: TfliteGraph, units: Iterable[Unit]) -> Iterator[Piece]:
    for delegated, run in groupby(units, key=lambda unit: unit[0]):
        if delegated:
            yield from (Piece(delegated=True, operators=len(places)) for _, places in run)
        else:
            operators = [graph.operators[place] for _, places in run for place in places]
            modules = chain.from_iterable(operator_modules(graph, operator) for operator in operators)
            yield Piece(
                delegated=False,
                operators=len(operators),
                names=tuple(dict.fromkeys(operator.name for operator in operators)),
                modules=tuple(dict.fromkeys(modules)),
            )


def _operators_between(
    graph: TfliteGraph, makers: dict[int, int], inputs: Sequence[int], outputs: Sequence[int]
) -> set[int]:
    known, wanted = set(inputs), list(outputs)
    found: set[int] = set()
    while wanted:
        tensor = wanted.pop()
        maker = makers.get(tensor)
        if tensor in known or maker is None or maker in found:
            continue
        found.add(maker)
        wanted.extend(graph.operators[maker].inputs)
    return found


def _reasons(graph: TfliteGraph, operators: Iterable[TfliteOperator]) -> list[str]:
    """One line per operator and reason, with the modules that it came from."""
    found: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for operator in operators:
        found.setdefault((operator.name, why_left(graph, operator)), []).append(operator_modules(graph, operator))
    return [
        left_outside(name, len(origins), why, tuple(dict.fromkeys(chain.from_iterable(origins))))
        for (name, why), origins in found.items()
    ]


def why_left(graph: TfliteGraph, operator: TfliteOperator) -> str:
    """Why XNNPACK leaves an operator, by the conditions of its TFLite delegate (``xnnpack_delegate.cc``)."""
    tensors = [graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
    if operator.custom:
        return "a custom operator"
    if operator.name not in _HYBRID and _is_hybrid(tensors):
        return f"int8 weights with float activations, which the delegate has for {' and '.join(sorted(_HYBRID))} alone"
    if odd := {tensor.dtype for tensor in tensors if not tensor.constant} - _FLOATS:
        return f"works on {', '.join(sorted(odd))}"
    if operator.name == "CONCATENATION" and len(operator.inputs) > _MAX_JOINED:
        return f"joins {len(operator.inputs)} tensors, the delegate at most {_MAX_JOINED}"
    if operator.name == "FULLY_CONNECTED" and not graph.tensors[operator.inputs[1]].constant:
        return "its weights are computed at run time"
    if operator.name in _POOLS:
        return "pooling with a 1x1 window or a form that the delegate does not have"
    shapes = [str(list(graph.tensors[index].shape)) for index in operator.inputs if index >= 0]
    return f"the delegate does not have it in this form (inputs {', '.join(shapes)})"


def _is_hybrid(tensors: Sequence[TfliteTensor]) -> bool:
    """Whether an operator works on float activations with constant weights in int8."""
    held = {tensor.dtype for tensor in tensors if tensor.constant}
    return "int8" in held and {tensor.dtype for tensor in tensors if not tensor.constant} == {"float32"}
