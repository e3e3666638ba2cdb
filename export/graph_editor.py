"""``GraphEditor``: rewriting a captured ATen graph, so that passes can speak of patterns only (``export.patterns``)."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.fx import GraphModule, Node, map_arg

from export.artifact import PassLog, Refusal
from export.patterns import argument, aten, inherit, operand, value_of, without_storage
from export.program import module_of


class GraphEditor:
    """One graph under rewriting: every new node gets its shape and the provenance of what it replaces.

    The editor works on a copy of the graph and shares the tensors of ``module``; it never writes into a tensor, so
    one that is used in several places stays what it was for the others. New calls are made *at* a node: they stand in
    front of it, and count as coming from its module of the network unless another node is named (``like``).
    """

    def __init__(self, module: GraphModule) -> None:
        self.module = copy.copy(module)
        self.module.graph = copy.deepcopy(module.graph)
        self.graph = self.module.graph
        self._constants = 0
        for node in self.graph.nodes:
            node.meta["val"] = without_storage(node.meta.get("val"))

    def nodes(self, *targets: object) -> Iterator[Node]:
        """The calls of ``targets`` (all calls if none is given) in order; safe against rewriting on the way."""
        for node in list(self.graph.nodes):
            erased = node._erased
            if not erased and node.op == "call_function" and (not targets or node.target in targets):
                yield node

    def constant(self, node: object) -> Tensor | None:
        """The tensor that ``node`` stands for, or None if it is no constant of the module."""
        if not isinstance(node, Node) or node.op != "get_attr":
            return None
        value: object = self.module
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return value.detach() if isinstance(value, Tensor) else None

    def weights(self, product: Node) -> tuple[Tensor, Tensor | None] | None:
        """Weight (out, in / groups, ...) and bias (out,), if it has one, of a linear layer or convolution.

        None unless both are constants. A call with keyword arguments is none that passes know: captured graphs have
        none there.
        """
        spelled = argument(product, 2, "bias")
        weight, bias = self.constant(argument(product, 1, "weight")), self.constant(spelled)
        if product.kwargs or weight is None or (bias is None) != (spelled is None):
            return None
        return weight, bias

    def add_constant(self, tensor: Tensor, near: Node, name: str) -> Node:
        """A node for the new constant ``tensor``; ``name`` says what it is and ``near`` where it is needed first."""
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
        inherit(node, near)
        return node

    def call(
        self,
        at: Node,
        target: Callable[..., object],
        *args: object,
        kwargs: Mapping[str, object] | None = None,
        like: Node | None = None,
    ) -> Node:
        """A new call of ``target``."""
        with self.graph.inserting_before(at):
            node = self.graph.call_function(target, args, dict(kwargs or {}))  # type: ignore[arg-type]
        node.meta["val"] = _evaluate(target, node, at)
        inherit(node, like or at)
        return node

    def permute(self, at: Node, source: object, axes: Sequence[int], *, like: Node | None = None) -> Node:
        """``source`` with its axes in the order ``axes``."""
        return self.call(at, aten.permute.default, source, list(axes), like=like)

    def reshape(self, at: Node, source: object, sizes: Sequence[int], *, like: Node | None = None) -> Node:
        """``source`` in the shape ``sizes``."""
        return self.call(at, aten.reshape.default, source, list(sizes), like=like)

    def repeat(self, node: Node, *args: object, at: Node | None = None) -> Node:
        """The operator of the call ``node``, with its keywords, on ``args``."""
        assert callable(node.target), node.format_node()
        return self.call(at or node, node.target, *args, kwargs=node.kwargs, like=node)

    def with_weights(self, product: Node, weight: Tensor, bias: Tensor | None, source: Node | None = None) -> Node:
        """The linear layer or convolution ``product`` with other constants, on ``source`` (or on what it reads now).

        They are of the shapes of the old ones, in any dtype, and are rounded to that of ``product``.
        """
        dtype = value_of(product).dtype
        args: list[object] = [source or operand(product), self.add_constant(weight.to(dtype), product, "weight")]
        if bias is None:
            args += product.args[2:]
        else:
            args += [self.add_constant(bias.to(dtype), product, "bias"), *product.args[3:]]
        return self.repeat(product, *args)

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
        self.sweep()
        self.graph.lint()
        training = self.module.training
        module = GraphModule(self.module, self.graph)
        module.train(training)
        return module

    def sweep(self) -> None:
        """Erase what nobody uses, but for calls that write into a tensor or draw random numbers."""
        for node in reversed(list(self.graph.nodes)):
            if not node.users and node.op in ("get_attr", "call_function") and not node.is_impure():
                self.graph.erase_node(node)


class Refusals:
    """What a pass leaves as it is although it is there for it, collected while it runs.

    A call that merely is not of the pass's pattern is none: there was nothing to do. One is a call of the pattern that
    may not be rewritten, because others read what would change, a weight is computed, a size does not fit.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[str]] = {}

    def add(self, node: Node, why: str) -> None:
        """Note that ``node`` stays, and why."""
        self._places.setdefault((_operator(node), why), []).append(module_of(node))

    def rows(self) -> tuple[Refusal, ...]:
        """One row an operator and reason."""
        return tuple(
            Refusal(operator=name, count=len(places), why=why, modules=tuple(dict.fromkeys(filter(None, places))))
            for (name, why), places in self._places.items()
        )


def each_call(
    *targets: object, done: str
) -> Callable[[Callable[[GraphEditor, Node], bool | str]], Callable[[GraphEditor], PassLog]]:
    """Make a pass of a function that rewrites one call and says whether it did.

    The pass offers it every call of ``targets`` (every call if none is given) and is named after the function's file.
    The function returns True, False for a call that the pass is not for, or why a call that it is for stays
    (``Refusals``).

    Args:
        targets: The operators whose calls are rewritten.
        done: What stands behind the number of rewritten calls in the log: ``3 additions folded``.
    """

    def pass_of(rewrite: Callable[[GraphEditor, Node], bool | str]) -> Callable[[GraphEditor], PassLog]:
        @functools.wraps(rewrite)
        def run(editor: GraphEditor) -> PassLog:
            found, refusals = 0, Refusals()
            for node in editor.nodes(*targets):
                outcome = rewrite(editor, node)
                if isinstance(outcome, str):
                    refusals.add(node, outcome)
                else:
                    found += outcome
            name = rewrite.__module__.rpartition(".")[2]
            return PassLog(name=name, rewrites=found, detail=f"{found} {done}", refused=refusals.rows())

        return run

    return pass_of


def _operator(node: Node) -> str:
    """``aten::batch_norm``: the operator's name without its overload."""
    schema = getattr(node.target, "_schema", None)
    return str(node.target) if schema is None else str(schema.name)


def _evaluate(target: Callable[..., object], node: Node, near: Node) -> object:
    """What ``node``, a call of ``target``, gives: meta or fake tensors that tell shape and dtype."""
    values: tuple[object, ...] = map_arg(node.args, lambda source: source.meta["val"])
    named = map_arg(node.kwargs, lambda source: source.meta["val"])
    known = _known_result(target, values)
    if known is not None:
        return known
    mode = next((m for m in map(_fake_mode, node.all_input_nodes) if m), _fake_mode(near))
    with mode or nullcontext(), torch.no_grad():
        return target(*values, **named)


def _known_result(target: Callable[..., object], values: tuple[object, ...]) -> Tensor | None:
    """The result where its shape is plain to see: torch derives these from decompositions in Python, 1 ms each."""
    first = values[0] if values else None
    if type(first) is not Tensor or first.device.type != "meta":
        return None
    shape: tuple[int, ...] = tuple(first.shape)
    if target is aten.linear.default:
        weight = values[1]
        if not isinstance(weight, Tensor) or weight.dim() != 2:
            return None
        if weight.shape[1:] != first.shape[-1:] or weight.dtype != first.dtype:
            return None
        shape = (*shape[:-1], weight.shape[0])
    elif target not in (aten.layer_norm.default, aten.gelu.default):
        return None
    return torch.empty(shape, dtype=first.dtype, device="meta")


def _fake_mode(node: Node) -> FakeTensorMode | None:
    return getattr(node.meta.get("val"), "fake_mode", None)
