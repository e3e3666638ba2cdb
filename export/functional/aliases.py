"""Which values of a captured graph are one memory: seen by running it on tensors without data, not guessed from names.

Many calls hand out their input, or a part of it, in some cases only (``reshape``, ``contiguous``, a cast to the dtype
that it has, dropout that is off). What a run shows is true for the shapes of the graph, which are fixed.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeGuard

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses import FakeTensorMode
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.node import Argument, Target


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: its storage, and which elements of it, in which order."""

    storage: int
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype


@dataclass
class Aliases:
    """What running a graph shows.

    Attributes:
        mode: In which its values live.
        values: By node, what it gave, in tensors without data: of the shape that they had then.
        objects: By node, which tensor it gave: calls that write into one hand out that one.
        places: By node, where its tensor lay when it was made; nodes that give no tensor have none.
        reshaped: Calls that gave the tensor that they write into another shape, such as ``unsqueeze_``.
    """

    mode: FakeTensorMode
    values: dict[Node, object] = field(default_factory=dict)
    objects: dict[Node, int] = field(default_factory=dict)
    places: dict[Node, Place] = field(default_factory=dict)
    reshaped: set[Node] = field(default_factory=set)

    def parent(self, node: Node) -> Node | None:
        """The operand of ``node`` whose memory it hands out or writes into; None if its memory is its own."""
        if writes(node.target):
            return written(node)
        place = self.places.get(node)
        source = node.args[0] if is_item(node) else node
        if place is None or not isinstance(source, Node):
            return None
        return next((arg for arg in source.all_input_nodes if self._lies_in(arg, place.storage)), None)

    def root(self, node: Node) -> Node:
        """The node whose memory ``node`` shares in the end."""
        while (parent := self.parent(node)) is not None:
            node = parent
        return node

    def is_same_tensor(self, node: Node, other: Node) -> bool:
        """Whether both are one tensor: the same elements of the same memory in the same order."""
        return node in self.places and self.places[node] == self.places.get(other)

    def _lies_in(self, node: Node, storage: int) -> bool:
        return node in self.places and self.places[node].storage == storage


def writes(target: object) -> TypeGuard[OpOverload[..., object]]:
    """Whether calls of ``target`` write into an operand."""
    return isinstance(target, OpOverload) and target._schema.is_mutable


def written(node: Node) -> Node | None:
    """The one operand that a call writes into; None if it writes into none, or into several."""
    found = [value for value in _written(node) if isinstance(value, Node)]
    return found[0] if len(found) == 1 and len(list(_written(node))) == 1 else None


def is_item(node: Node) -> bool:
    """Whether ``node`` takes one of several results of another call."""
    return node.op == "call_function" and node.target is operator.getitem


def observe(module: GraphModule) -> Aliases:
    """Run the graph of ``module`` without data; every placeholder has its shape in ``meta["val"]``."""
    found = Aliases(FakeTensorMode(allow_non_fake_inputs=True))
    with found.mode, torch.no_grad():
        _Observer(module, found).run(*map(_stand_in, module.graph.find_nodes(op="placeholder")))
    return found


class _Observer(Interpreter):
    """Notes where each value lies. All of them are kept, so that no storage is used again."""

    def __init__(self, module: GraphModule, found: Aliases) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.found = found

    def run_node(self, n: Node) -> object:
        result = super().run_node(n)
        self.found.values[n] = torch.ops.aten.alias(result) if isinstance(result, Tensor) else result
        self.found.objects[n] = id(result)
        if (source := written(n)) is not None and _place(self.env[source]) != self.found.places[source]:
            self.found.reshaped.add(n)
        if n.op != "output" and (place := _place(result)) is not None:
            self.found.places[n] = place
        return result

    def get_attr(self, target: Target, args: tuple[Argument, ...], kwargs: dict[str, Argument]) -> object:
        value = super().get_attr(target, args, kwargs)
        return self.found.mode.from_tensor(value, static_shapes=True) if isinstance(value, Tensor) else value


def _stand_in(placeholder: Node) -> Tensor:
    value = placeholder.meta["val"]
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)


def _place(value: object) -> Place | None:
    if not isinstance(value, Tensor):
        return None
    storage = value.untyped_storage()._cdata
    return Place(storage, int(value.storage_offset()), tuple(value.shape), tuple(value.stride()), value.dtype)


def _written(node: Node) -> Iterator[object]:
    if not writes(node.target):
        return
    for position, spec in enumerate(node.target._schema.arguments):
        if spec.alias_info is not None and spec.alias_info.is_write:
            given = node.args[position] if position < len(node.args) else node.kwargs.get(spec.name)
            if given is not None:
                yield given
