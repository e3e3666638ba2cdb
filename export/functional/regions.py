"""Where the elements of a view lie in what it is a view of, and how a new view goes back there without a write.

A view is asked for its elements with numbers in their places, so that this knows no view by name. What it finds is
the simplest of: the same elements in the same order, a permutation, some rows of one axis, or any other choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from export.patterns import aten

Call = Callable[..., Node]
Constant = Callable[[Tensor, str], Node]


@dataclass(frozen=True)
class Reshaped:
    """The same elements in the same order."""

    sizes: tuple[int, ...]

    def put(self, parent: Node, part: Node, call: Call, constant: Constant) -> Node:
        """``parent`` with the elements of ``part``, which are all."""
        return call(aten.reshape.default, part, _free_first(self.sizes))


@dataclass(frozen=True)
class Permuted:
    """The same elements with the axes in another order; ``back`` undoes it."""

    back: tuple[int, ...]

    def put(self, parent: Node, part: Node, call: Call, constant: Constant) -> Node:
        """``parent`` with the elements of ``part``, which are all."""
        return call(aten.permute.default, part, list(self.back))


@dataclass(frozen=True)
class Rows:
    """``rows`` of the ``size`` along ``axis``; ``lost``: of one row, whose axis is gone in the view."""

    axis: int
    rows: tuple[int, ...]
    size: int
    lost: bool

    def put(self, parent: Node, part: Node, call: Call, constant: Constant) -> Node:
        """``parent`` with ``part`` in these rows."""
        if self.lost:
            part = call(aten.unsqueeze.default, part, self.axis)
        first, behind = self.rows[0], self.rows[-1] + 1
        if self.rows == tuple(range(first, behind)):
            parts = [part]
            if first:
                parts.insert(0, call(aten.slice.Tensor, parent, self.axis, 0, first))
            if behind < self.size:
                parts.append(call(aten.slice.Tensor, parent, self.axis, behind, self.size))
            return call(aten.cat.default, parts, self.axis) if len(parts) > 1 else part
        source = torch.arange(self.size)
        source[list(self.rows)] = self.size + torch.arange(len(self.rows))
        both = call(aten.cat.default, [parent, part], self.axis)
        return call(aten.index_select.default, both, self.axis, constant(source, "rows"))


@dataclass(frozen=True, eq=False)
class Chosen:
    """Any elements, each once; ``places`` are their positions in the flat parent, of the shape of the view."""

    places: Tensor
    sizes: tuple[int, ...]

    def put(self, parent: Node, part: Node, call: Call, constant: Constant) -> Node:
        """``parent`` with ``part`` in these places: for every batch, if they are the same in each sample."""
        axis, places, size = (
            (1, self.places[0], self.sizes[1:]) if self._is_by_sample() else (0, self.places, self.sizes)
        )
        total = torch.Size(size).numel()
        source = torch.arange(total)
        source[places.flatten()] = total + torch.arange(places.numel())
        flat = [
            call(aten.reshape.default, node, [-1, count] if axis else [count])
            for node, count in ((parent, total), (part, places.numel()))
        ]
        both = call(aten.cat.default, flat, axis)
        picked = call(aten.index_select.default, both, axis, constant(source, "places"))
        return call(aten.reshape.default, picked, _free_first(self.sizes))

    def _is_by_sample(self) -> bool:
        if not self.places.numel() or self.places.shape[:1] != self.sizes[:1]:
            return False
        stride = torch.Size(self.sizes[1:]).numel()
        starts = torch.arange(self.sizes[0]).reshape(-1, *[1] * (self.places.dim() - 1)) * stride
        return bool(self.places[0].max() < stride) and torch.equal(self.places, self.places[:1] + starts)


Region = Reshaped | Permuted | Rows | Chosen


def region_of(view: Callable[[Tensor], Tensor], sizes: tuple[int, ...]) -> Region | None:
    """What ``view`` takes of a tensor of ``sizes``; None if it shows an element twice."""
    numbered = torch.arange(torch.Size(sizes).numel()).reshape(sizes)
    seen = view(numbered)
    if seen.numel() == numbered.numel() and torch.equal(seen.flatten(), numbered.flatten()):
        return Reshaped(sizes)
    found = _permuted(seen, numbered) or _rows(seen, numbered)
    if found is not None:
        return found
    return Chosen(seen.clone(), sizes) if len(set(seen.flatten().tolist())) == seen.numel() else None


def _permuted(seen: Tensor, numbered: Tensor) -> Permuted | None:
    if seen.dim() != numbered.dim() or sorted(seen.shape) != sorted(numbered.shape):
        return None
    left = list(range(numbered.dim()))
    order = []
    for size, stride in zip(seen.shape, seen.stride(), strict=True):
        fits = [axis for axis in left if numbered.shape[axis] == size]
        same = [axis for axis in fits if size == 1 or numbered.stride(axis) == stride]
        if not same:
            return None
        order.append(same[0])
        left.remove(same[0])
    if not torch.equal(numbered.permute(order), seen):
        return None
    return Permuted(tuple(order.index(axis) for axis in range(len(order))))


def _rows(seen: Tensor, numbered: Tensor) -> Rows | None:
    for axis in range(numbered.dim()):
        lost = seen.dim() == numbered.dim() - 1
        part = seen.unsqueeze(axis) if lost else seen
        others = [size for place, size in enumerate(numbered.shape) if place != axis]
        if part.dim() != numbered.dim() or [size for place, size in enumerate(part.shape) if place != axis] != others:
            continue
        if not part.numel():
            continue
        first = part.movedim(axis, 0).reshape(part.shape[axis], -1)[:, 0]
        rows = [int(number) // numbered.stride(axis) % numbered.shape[axis] for number in first]
        if len(set(rows)) == len(rows) and torch.equal(numbered.index_select(axis, torch.tensor(rows)), part):
            return Rows(axis, tuple(rows), numbered.shape[axis], lost)
    return None


def _free_first(sizes: tuple[int, ...]) -> list[int]:
    """``sizes`` for a reshape, valid for every batch where it can be."""
    return [-1, *sizes[1:]] if sizes and 0 not in sizes else list(sizes)
