"""Rewrites a graph whose calls write into tensors as one whose calls make new ones, with the same function.

The calls are walked in their order. A write gives its tensor a new value; so it does to all that share the memory:
to what the tensor is a view of at once (``export.functional.regions``), to other views when they are read next.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule, Node, map_arg
from torch.fx.node import Argument

from export.functional.aliases import Aliases, is_item, observe, writes, written
from export.functional.regions import Region, Reshaped, region_of
from export.patterns import aten, inherit, without_storage

Operator = Callable[..., object]
Given = tuple[tuple[object, ...], dict[str, object]]


def functionalise(module: GraphModule) -> tuple[int, tuple[tuple[Node, str], ...]]:
    """Rewrite the graph of ``module`` in place: all of its writes, or none.

    Returns:
        How many writes it had, and those that stay with the reason: none, or all are left as they are.
    """
    calls = [node for node in module.graph.nodes if writes(node.target)]
    if not calls:
        return 0, ()
    rewriting = _Rewriting(module, observe(module))
    if problems := tuple(rewriting.problems(calls)):
        return len(calls), problems
    rewriting.run()
    return len(calls), ()


def writes_outside(module: GraphModule) -> dict[Node, Node]:
    """The calls that write into what is not the graph's own, each with the input, weight or buffer that it changes."""
    calls = [node for node in module.graph.nodes if writes(node.target)]
    if not calls:
        return {}
    aliases = observe(module)
    roots = {call: aliases.root(call) for call in calls}
    return {call: root for call, root in roots.items() if root.op != "call_function"}


def twin_of(target: object) -> Operator | None:
    """The call that makes a new tensor of what ``target`` writes into one; None if there is none."""
    if not writes(target):
        return None
    namespace, _, name = target._schema.name.partition("::")
    packet = getattr(aten, name.removesuffix("_"), None)
    if namespace != "aten" or packet is None:
        return None
    takes = [str(each.type) for each in target._schema.arguments if not each.is_out]
    overloads: list[OpOverload[..., object]] = [getattr(packet, name) for name in packet.overloads()]
    fits = [each for each in overloads if [str(given.type) for given in each._schema.arguments] == takes]
    return next((each for each in fits if not each._schema.is_mutable), None)


class _Rewriting:
    """One graph on its way.

    Attributes:
        version: By storage, how often it has been written into.
        now: By node, the version that it was read at last, and the node that holds its value of that version.
        at: Where new calls go: in front of this node, whose place in the network they take.
    """

    def __init__(self, module: GraphModule, aliases: Aliases) -> None:
        self.module, self.graph, self.aliases = module, module.graph, aliases
        self.version: dict[int, int] = {}
        self.now: dict[Node, tuple[int, Node]] = {}
        self.at = next(iter(module.graph.nodes))

    def problems(self, calls: list[Node]) -> Iterator[tuple[Node, str]]:
        """The writes that cannot be told in calls that make new tensors, each with the reason."""
        for call in calls:
            if (why := self._why_not(call)) is not None:
                yield call, why

    def run(self) -> None:
        """Rewrite every call."""
        reads = {}  # applied at the end: until then the graph tells what is a view of what
        nodes = list(self.graph.nodes)
        for node in nodes:
            self.at = node
            if writes(node.target):
                self._write(node)
            else:
                reads[node] = map_arg((node.args, node.kwargs), self._value)
                self.now[node] = self._version(node), node
        for node, (args, kwargs) in reads.items():
            node.args, node.kwargs = args, kwargs
        for node in reversed(nodes):
            if writes(node.target):
                self.graph.erase_node(node)

    def _why_not(self, call: Node) -> str | None:
        source = written(call)
        if source is None:
            return "it writes into several tensors at once"
        if call.target not in _VALUES and twin_of(call.target) is None:
            return "it has no functional form"
        if call in self.aliases.reshaped and not self._is_read_as_reshaped(call, source):
            return "it gives another shape to what others read"
        return self._why_not_above(source)

    def _is_read_as_reshaped(self, call: Node, source: Node) -> bool:
        """Whether who reads the tensor behind ``call``, which gives it another shape, reads it from ``call``."""
        twin = twin_of(call.target)
        if not isinstance(twin, OpOverload) or twin._schema.returns[0].alias_info is None:
            return False
        later = set(itertools.takewhile(lambda node: node is not call, reversed(self.graph.nodes)))
        objects = self.aliases.objects
        earlier = [node for node in objects if node not in later and node is not call]
        readers = (user for node in earlier if objects[node] == objects[source] for user in node.users)
        return later.isdisjoint(readers)

    def _why_not_above(self, node: Node) -> str | None:
        """Whether what ``node`` is a view of can be put together from the parts."""
        while (parent := self.aliases.parent(node)) is not None:
            if not writes(node.target) or node in self.aliases.reshaped:
                if self.aliases.places[node].dtype != self.aliases.places[parent].dtype:
                    return "it writes into what reads memory as another type"
                if self._region(node, parent) is None:
                    return "it writes into a tensor that shows an element twice, or takes its shape from another"
            node = parent
        if self._shares_unseen(node):
            return "it writes into memory that others share unseen"
        return None

    def _shares_unseen(self, root: Node) -> bool:
        storage = self.aliases.places[root].storage
        sharing = [node for node, place in self.aliases.places.items() if place.storage == storage]
        return any(self.aliases.root(node) is not root for node in sharing)

    def _write(self, call: Node) -> None:
        source = written(call)
        assert source is not None
        if call in self.aliases.reshaped:
            self.now[call] = self._version(source), self._view(call, source)
            return
        if call.target is aten.copy_.default and self._is_itself(call, source):
            self.now[call] = self._version(source), self._value(source)
            return
        new = self._new_value(call, source)
        chain, node = [(call, new), (source, new)], source
        while (parent := self.aliases.parent(node)) is not None:
            if not writes(node.target) or node in self.aliases.reshaped:
                region = self._region(node, parent)
                assert region is not None
                new = region.put(self._value(parent), new, self._call, self._constant)
            chain.append((parent, new))
            node = parent
        storage = self.aliases.places[source].storage
        self.version[storage] = self.version.get(storage, 0) + 1
        self.now |= {node: (self.version[storage], value) for node, value in chain}

    def _is_itself(self, call: Node, source: Node) -> bool:
        """Whether a copy is of a tensor into itself, as ``x[0] += 1`` does behind its addition."""
        given = call.args[1]
        return isinstance(given, Node) and self.aliases.is_same_tensor(source, given)

    def _new_value(self, call: Node, source: Node) -> Node:
        """What the tensor ``source`` holds behind ``call``, in its own shape and dtype."""
        place = self.aliases.places[source]
        args, kwargs = map_arg(call.args, self._value), dict(map_arg(call.kwargs, self._value))
        if (value := _VALUES.get(call.target)) is not None:
            new = value(self._call, args)
        else:
            twin = twin_of(call.target)
            assert twin is not None
            args = map_arg(args, lambda given: self._as_wide(given, place.dtype))
            kwargs = {name: given for name, given in kwargs.items() if call.kwargs[name] is not source}
            new = self._call(twin, *args, **kwargs)
        made = self.aliases.values[new]
        assert isinstance(made, Tensor)
        if made.dtype != place.dtype:
            new = self._call(aten.to.dtype, new, place.dtype)
        if tuple(made.shape) != place.sizes:
            new = self._call(aten.expand.default, new, list(place.sizes))
        return new

    def _as_wide(self, given: Node, dtype: torch.dtype) -> Node:
        """``given``, or a float64 weight rounded to the float32 that is written into: few runtimes have float64."""
        value = self.aliases.values[given]
        is_wider = isinstance(value, Tensor) and (value.dtype, dtype) == (torch.float64, torch.float32)
        return self._call(aten.to.dtype, given, dtype) if is_wider and given.op == "get_attr" else given

    def _value(self, node: Node) -> Node:
        """The node that holds what ``node`` holds now."""
        version = self._version(node)
        seen, value = self.now[node]
        if seen != version:
            parent = self.aliases.parent(node)
            assert parent is not None, f"{node} is written into and was not followed"
            is_view = not writes(node.target) or node in self.aliases.reshaped
            value = self._view(node, parent) if is_view else self._value(parent)
            self.now[node] = version, value
        return value

    def _version(self, node: Node) -> int:
        place = self.aliases.places.get(node)
        return 0 if place is None else self.version.get(place.storage, 0)

    def _view(self, node: Node, parent: Node) -> Node:
        """The view ``node`` of what ``parent`` holds now."""
        if is_item(node):
            (several, index) = node.args
            assert isinstance(several, Node)
            return self._call(operator.getitem, self._view(several, parent), index)
        return self._call(_operator(node), *map_arg(node.args, self._value), **map_arg(node.kwargs, self._value))

    def _region(self, node: Node, parent: Node) -> Region | None:
        """Which elements of ``parent`` the view ``node`` shows; None if an element twice, or as another tensor says."""
        sizes = self.aliases.places[parent].sizes
        if self.aliases.is_same_tensor(node, parent):
            return Reshaped(sizes)
        others = [each for each in node.all_input_nodes if each is not parent]
        if any(isinstance(self.aliases.values[each], Tensor) for each in others):
            return None

        def view(numbers: Tensor) -> Tensor:
            def number(value: Node) -> object:
                return numbers if value is parent else self.aliases.values[value]

            several = node.args[0] if is_item(node) else node
            assert isinstance(several, Node)
            args, kwargs = _mapped((several.args, several.kwargs), number)
            shown = _operator(several)(*args, **kwargs)
            if is_item(node):
                shown = operator.getitem(shown, node.args[1])  # type: ignore[call-overload]
            assert isinstance(shown, Tensor)
            return shown

        return region_of(view, sizes)

    def _call(self, target: Operator, *args: object, **kwargs: object) -> Node:
        with self.graph.inserting_before(self.at):
            node = self.graph.call_function(target, args, kwargs)  # type: ignore[arg-type]
        given, named = _mapped((args, kwargs), self.aliases.values.__getitem__)
        with self.aliases.mode, torch.no_grad():
            value = target(*given, **named)
        return self._known(node, value)

    def _constant(self, tensor: Tensor, name: str) -> Node:
        number = 0
        while hasattr(self.module, attribute := f"_{name}_{number}"):
            number += 1
        self.module.register_buffer(attribute, tensor)
        with self.graph.inserting_before(self.at):
            node = self.graph.get_attr(attribute)
        return self._known(node, self.aliases.mode.from_tensor(tensor, static_shapes=True))

    def _known(self, node: Node, value: object) -> Node:
        self.aliases.values[node] = value
        node.meta["val"] = without_storage(value)
        inherit(node, self.at)
        return node


def _operator(node: Node) -> Operator:
    """What the call ``node`` calls, in its functional form."""
    found = twin_of(node.target) or node.target
    assert callable(found), node.format_node()
    return found


def _mapped(given: tuple[object, object], value: Callable[[Node], object]) -> Given:
    """Arguments and keywords of a call with values in the place of nodes."""
    found: Given = map_arg(given, value)  # type: ignore[type-var, arg-type, assignment]
    return found


def _copied(call: Callable[..., Node], args: tuple[Argument, ...]) -> Node:
    assert isinstance(args[1], Node)
    return args[1]


_VALUES: dict[object, Callable[[Callable[..., Node], tuple[Argument, ...]], Node]] = {
    aten.copy_.default: _copied,
    aten.fill_.Tensor: _copied,
    aten.fill_.Scalar: lambda call, args: call(aten.full_like.default, args[0], args[1]),
    aten.zero_.default: lambda call, args: call(aten.full_like.default, args[0], 0),
}
"""What some writes leave behind, where the operator's own form without writing is one that few converters know."""
