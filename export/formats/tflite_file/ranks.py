"""How many axes the kernels of TFLite runtimes take: no operator version says so, and what goes beyond may abort.

Each row was tried with files of one operator, without XNNPACK, in TFLite 2.8 to 2.14 and LiteRT 1.0.1, 1.4.0, 2.0.3 and
2.3.0; of the comparisons LESS and EQUAL were, which share their kernel with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from export.artifact import left_outside
from export.formats.tflite_file.contents import TfliteGraph, TfliteOperator

Shape = tuple[int, ...]


@dataclass(frozen=True)
class RankLimit:
    """What an operator's kernels take.

    Attributes:
        axes: The most axes that they take; for element-wise operators, of a shape that is broadcast.
        until: The last runtime of which that is true.
        broadcasts: It binds element-wise operators only where the shapes differ.
        runs: How many separate runs of neighbouring axes a shape may be stretched over beyond ``axes``; with one, as
            for a scalar or a row, ADD and MUL have another kernel.
        aborts: The kernel ends the process; else the runtime refuses the file.
    """

    axes: int
    until: str
    broadcasts: bool = True
    runs: int = 0
    aborts: bool = True

    def binds(self, shapes: list[Shape]) -> bool:
        """Whether an operator with inputs of ``shapes`` goes beyond it."""
        if max(map(len, shapes), default=0) <= self.axes:
            return False
        return not self.broadcasts or _stretches(shapes) > self.runs


_LITERT = "LiteRT 2.0"
_COMPARISONS = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")

RANK_LIMITS: dict[str, tuple[RankLimit, ...]] = {
    "ADD": (RankLimit(4, "TFLite 2.12", runs=1),),
    "MUL": (RankLimit(4, "TFLite 2.14", runs=1),),
    "SUB": (RankLimit(5, "TFLite 2.14"),),
    "DIV": (RankLimit(5, _LITERT),),
    "MAXIMUM": (RankLimit(5, _LITERT),),
    "MINIMUM": (RankLimit(5, _LITERT),),
    **dict.fromkeys(("SQUARED_DIFFERENCE", "POW", "FLOOR_DIV", "FLOOR_MOD", *_COMPARISONS), (RankLimit(4, _LITERT),)),
    "SLICE": (RankLimit(5, _LITERT, broadcasts=False, aborts=False),),
    "STRIDED_SLICE": (RankLimit(5, _LITERT, broadcasts=False, aborts=False),),
    "TRANSPOSE": (RankLimit(5, "TFLite 2.11", broadcasts=False, aborts=False),),
    "BATCH_MATMUL": (
        RankLimit(5, "LiteRT 2.3", broadcasts=False, aborts=False),
        RankLimit(4, "TFLite 2.9", broadcasts=False, aborts=False),
    ),
    "PAD": (RankLimit(5, "LiteRT 2.3", broadcasts=False, aborts=False),),
}
"""By operator, the widest claim first."""


def cautions(graph: TfliteGraph, modules: Callable[[TfliteOperator], tuple[str, ...]]) -> Iterator[str]:
    """One line for each operator and limit that ``graph`` goes beyond.

    Args:
        graph: The operators.
        modules: The modules of the network that an operator came from.
    """
    found: dict[tuple[str, RankLimit], list[int]] = {}
    for place, operator in enumerate(graph.operators):
        shapes = [graph.tensors[index].shape for index in _operands(operator)]
        limit = next((limit for limit in RANK_LIMITS.get(operator.name, ()) if limit.binds(shapes)), None)
        if limit is not None and not operator.custom:
            found.setdefault((operator.name, limit), []).append(place)
    for (name, limit), places in found.items():
        axes = max(len(graph.tensors[index].shape) for place in places for index in _operands(graph.operators[place]))
        origin = tuple(dict.fromkeys(module for place in places for module in modules(graph.operators[place])))
        what = f"{'broadcasts over' if limit.broadcasts else 'works on'} {axes} axes"
        end = "abort the process" if limit.aborts else "refuse the file"
        why = f"{what}; kernels up to {limit.until} take {limit.axes} and {end} where no delegate takes it"
        yield left_outside(name, len(places), why, origin)


def _operands(operator: TfliteOperator) -> list[int]:
    """Indices of the tensors whose rank counts: those that are worked on, not begins, sizes or permutations."""
    worked_on = operator.inputs if operator.name in _ELEMENTWISE else operator.inputs[:1]
    return [index for index in worked_on if index >= 0]


_ELEMENTWISE = {name for name, limits in RANK_LIMITS.items() if limits[0].broadcasts}


def _stretches(shapes: list[Shape]) -> int:
    """The most separate runs of neighbouring axes that one of ``shapes`` is stretched over; 0 if all are equal."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    whole = [max(sizes, key=abs) for sizes in zip(*padded, strict=True)]  # a free axis is -1
    wide = [axis for axis in range(rank) if whole[axis] != 1]
    return max(_runs([shape[axis] == 1 for axis in wide]) for shape in padded)


def _runs(flags: list[bool]) -> int:
    """How many times True begins."""
    return sum(flag for flag, _ in groupby(flags))
