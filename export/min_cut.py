"""``cheapest_labels``: two labels for many things, at the least sum of costs of things and of neighbours."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T", bound=Hashable)
NEGLIGIBLE = 1e-9
"""Chosen: far below any cost that counts, above what is left of it by float arithmetic."""


class Single(NamedTuple, Generic[T]):
    """What ``item`` costs with the label False and with True."""

    item: T
    off: float
    on: float


class Pair(NamedTuple, Generic[T]):
    """What two neighbours cost together, by the labels of the first and of the second.

    ``off_off + on_on`` may not exceed ``off_on + on_off``: alike is never dearer than unlike.
    """

    first: T
    second: T
    off_off: float
    off_on: float
    on_off: float
    on_on: float


def cheapest_labels(singles: Iterable[Single[T]], pairs: Iterable[Pair[T]]) -> dict[T, bool]:
    """The labels of the least cost in all; where both cost the same, False.

    The least cut of a graph from a source (False) to a sink (True), found by flows along shortest paths
    (Edmonds and Karp, 1972): what costs ``c`` to be True is tied to the source by an edge of capacity ``c``.

    Raises:
        ValueError: Neighbours for whom unlike labels are cheaper than alike ones.
    """
    costs: dict[T, float] = {}
    capacity: dict[Hashable, dict[Hashable, float]] = {}
    for item, off, on in singles:
        costs[item] = costs.get(item, 0.0) + on - off
    for first, second, off_off, off_on, on_off, on_on in pairs:
        between = off_on + on_off - off_off - on_on
        if between < -NEGLIGIBLE:
            raise ValueError(f"{first} and {second} cost less apart than alike: no cut finds their labels")
        costs[first] = costs.get(first, 0.0) + on_off - off_off
        costs[second] = costs.get(second, 0.0) + on_on - on_off
        _tie(capacity, first, second, max(between, 0.0))
    source, sink = object(), object()
    for item, cost in costs.items():
        _tie(capacity, source, item, max(cost, 0.0))
        _tie(capacity, item, sink, max(-cost, 0.0))
    while path := _path(capacity, source, sink):
        flow = min(capacity[a][b] for a, b in path)
        for a, b in path:
            capacity[a][b] -= flow
            capacity[b][a] += flow
    near_sink = _that_reach(capacity, sink)
    return {item: item in near_sink for item in costs}


def _tie(capacity: dict[Hashable, dict[Hashable, float]], a: Hashable, b: Hashable, room: float) -> None:
    """Let ``room`` more flow from ``a`` to ``b``."""
    edges = capacity.setdefault(a, {})
    edges[b] = edges.get(b, 0.0) + room
    capacity.setdefault(b, {}).setdefault(a, 0.0)


def _path(
    capacity: dict[Hashable, dict[Hashable, float]], source: Hashable, sink: Hashable
) -> list[tuple[Hashable, Hashable]]:
    """A shortest path with room, as its edges; empty if there is none."""
    came: dict[Hashable, Hashable] = {source: source}
    waiting = deque([source])
    while waiting and sink not in came:
        here = waiting.popleft()
        for there, room in capacity.get(here, {}).items():
            if room > NEGLIGIBLE and there not in came:
                came[there] = here
                waiting.append(there)
    if sink not in came:
        return []
    path, node = [], sink
    while node is not source:
        path.append((came[node], node))
        node = came[node]
    return path


def _that_reach(capacity: dict[Hashable, dict[Hashable, float]], sink: Hashable) -> set[Hashable]:
    """Everything from which there is still room to ``sink``: the smallest side of a least cut that holds it."""
    found: set[Hashable] = {sink}
    waiting = deque([sink])
    while waiting:
        here = waiting.popleft()
        for there in capacity.get(here, {}):
            if capacity[there][here] > NEGLIGIBLE and there not in found:
                found.add(there)
                waiting.append(there)
    return found
