"""``GraphEditor``: reading and rewriting a captured ATen graph, so that passes can speak of patterns only."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.fx import GraphModule, Node
    from torch.fx.node import Argument

PROVENANCE = ("nn_module_stack", "stack_trace", "source_fn_stack")


class GraphEditor:
    """One graph under rewriting: every new node gets its shape and the provenance of what it replaces.

    The editor works on a copy of the graph and shares the tensors of ``module``; it never writes into a tensor, so
    one that is used in several places stays what it was for the others.
    """

    def __init__(self, module: GraphModule) -> None:
        self.module = copy.copy(module)
        self.module.graph = copy.deepcopy(module.graph)
        self.graph = self.module.graph
        self._constants = 0
        for node in self.graph.nodes:
            node.meta["val"] = _cheap(node.meta.get("val"))

    def nodes(self, *targets: object) -> Iterator[Node]:
        """The calls of ``targets`` (all calls if none is given) in order; safe against rewriting on the way."""
        for node in list(self.graph.nodes):
            erased = node._erased
            if not erased and node.op == "call_function" and (not targets or node.target in targets):
                yield node

    def constant(self, node: object) -> Tensor | None:
        """The tensor that ``node`` stands for, or None if it is no constant of the module."""
        import torch
        from torch.fx import Node

        if not isinstance(node, Node) or node.op != "get_attr":
            return None
        value: object = self.module
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return value.detach() if isinstance(value, torch.Tensor) else None

    def add_constant(self, tensor: Tensor, near: Node, name: str) -> Node:
        """A node for the new constant ``tensor``; ``name`` says what it is and ``near`` where it is needed first."""
        import torch

        attribute = f"_{name}_{self._constants}"
        while hasattr(self.module, attribute):
            self._constants += 1
            attribute = f"_{name}_{self._constants}"
        self.module.register_buffer(attribute, tensor.detach().contiguous())
        with self.graph.inserting_before(near):
            node = self.graph.get_attr(attribute)
        mode = _fake_mode(near)
        node.meta["val"] = (
            mode.from_tensor(tensor, static_shapes=True) if mode else torch.empty_like(tensor, device="meta")
        )
        _inherit(node, near)
        return node

    def call(
        self,
        target: Callable[..., object],
        args: tuple[object, ...],
        kwargs: dict[str, object] | None = None,
        *,
        before: Node,
        like: Node,
    ) -> Node:
        """A call of ``target``, placed in front of ``before``, that counts as coming from the module of ``like``."""
        with self.graph.inserting_before(before):
            node = self.graph.call_function(
                target, cast("tuple[Argument, ...]", args), cast("dict[str, Argument]", kwargs or {})
            )
        node.meta["val"] = _evaluate(target, args, kwargs or {}, before)
        _inherit(node, like)
        return node

    def replace(self, old: Node, new: Node) -> None:
        """Let all users of ``old`` use ``new``."""
        old.replace_all_uses_with(new)
        if not old.users:
            self.graph.erase_node(old)

    def finish(self) -> GraphModule:
        """The rewritten module, without dead code and unused tensors.

        Raises:
            RuntimeError: A pass left an ill-formed graph behind.
        """
        from torch.fx import GraphModule

        self.sweep()
        self.graph.lint()
        training = self.module.training
        module = GraphModule(self.module, self.graph)
        module.train(training)
        return module

    def sweep(self) -> int:
        """Erase what nobody uses; the number of calls erased."""
        erased = 0
        for node in reversed(list(self.graph.nodes)):
            unused = not node.users and (node.op == "get_attr" or (node.op == "call_function" and is_pure(node)))
            if unused:
                erased += node.op == "call_function"
                self.graph.erase_node(node)
        return erased


def value_of(node: Node) -> Tensor:
    """The fake tensor that tells shape and dtype of ``node``."""
    return cast("Tensor", node.meta["val"])


def shape_of(node: Node) -> tuple[int, ...]:
    """Shape of ``node``; a free axis is a ``SymInt``."""
    return tuple(value_of(node).shape)


def sizes_of(node: Node) -> list[int] | None:
    """Shape of ``node`` as an argument for reshape, with -1 for axis 0; None if another axis is free.

    Leading with -1 keeps the graph valid for every batch size.
    """
    shape = shape_of(node)
    if not shape or any(not isinstance(size, int) for size in shape[1:]):
        return None
    if 0 in shape:
        return None
    return [-1, *shape[1:]]


def is_call(node: object, *targets: object) -> bool:
    """Whether ``node`` is a call of one of ``targets``."""
    from torch.fx import Node

    return isinstance(node, Node) and node.op == "call_function" and node.target in targets


def argument(node: Node, index: int, name: str, default: object = None) -> object:
    """Positional or keyword argument of a call, or ``default`` where the schema's default stands."""
    if len(node.args) > index:
        return node.args[index]
    return node.kwargs.get(name, default)


def pair(value: object) -> tuple[int, int]:
    """An argument for both axes of the image, given once or for each."""
    values = [value] if isinstance(value, int) else list(cast("list[int]", value))
    return values[0], values[-1]


def only_user(node: Node) -> Node | None:
    """The one node that uses ``node``, or None if there are several or none, or it uses it twice."""
    from torch.fx import map_arg

    if len(node.users) != 1:
        return None
    user = next(iter(node.users))
    uses = 0

    def count(item: Node) -> Node:
        nonlocal uses
        uses += item is node
        return item

    map_arg((user.args, user.kwargs), count)
    return user if uses == 1 else None


def has_tensor(node: object) -> bool:
    """Whether ``node`` is a graph node whose value is one tensor."""
    import torch
    from torch.fx import Node

    return isinstance(node, Node) and isinstance(node.meta.get("val"), torch.Tensor)


def is_pure(node: Node) -> bool:
    """Whether a call neither writes into a tensor nor draws random numbers."""
    import torch

    if node.is_impure():
        return False
    if not isinstance(node.target, torch._ops.OpOverload):
        return True
    return not node.target._schema.is_mutable and torch.Tag.nondeterministic_seeded not in node.target.tags


def as_double(tensor: Tensor) -> Tensor:
    """``tensor`` in float64, in which weights are folded."""
    import torch

    return tensor.to(torch.float64)


def _evaluate(target: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object], near: Node) -> object:
    import torch
    from torch.fx import Node, map_arg

    values, named = map_arg(cast("Any", (args, kwargs)), lambda node: node.meta["val"])
    shape = _known_shape(target, values)
    if shape is not None:
        return torch.empty(shape, dtype=values[0].dtype, device="meta")
    mode = next((m for m in map(_fake_mode, _inputs(args, Node)) if m), _fake_mode(near))
    if mode is None:
        with torch.no_grad():
            return target(*values, **named)
    with mode, torch.no_grad():
        return target(*values, **named)


def _known_shape(target: Callable[..., object], values: tuple[object, ...]) -> tuple[int, ...] | None:
    """The result's shape where it is plain to see: torch derives these from decompositions in Python, 1 ms each."""
    import torch

    aten = torch.ops.aten
    first = values[0] if values else None
    if type(first) is not torch.Tensor or first.device.type != "meta":
        return None
    if target is aten.linear.default and isinstance(values[1], torch.Tensor) and values[1].dim() == 2:
        same = values[1].shape[1:] == first.shape[-1:] and values[1].dtype == first.dtype
        return (*first.shape[:-1], values[1].shape[0]) if same else None
    return tuple(first.shape) if target in (aten.layer_norm.default, aten.gelu.default) else None


def _inputs(args: tuple[object, ...], kind: type) -> Iterator[Node]:
    for item in args:
        if isinstance(item, kind):
            yield cast("Node", item)
        elif isinstance(item, (list, tuple)):
            yield from _inputs(tuple(item), kind)


def _cheap(value: object) -> object:
    """A meta tensor of the same shape: passes ask for thousands of shapes, and a fake tensor's cost far more."""
    import torch

    if isinstance(value, torch.Tensor) and all(isinstance(size, int) for size in value.shape):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return value


def _fake_mode(node: Node) -> torch._subclasses.FakeTensorMode | None:
    value = node.meta.get("val")
    return getattr(value, "fake_mode", None)


def _inherit(node: Node, like: Node) -> None:
    for key in PROVENANCE:
        if key in like.meta:
            node.meta[key] = like.meta[key]
