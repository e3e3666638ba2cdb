"""Frees the batch of a captured program: the sizes that tracing wrote into the graph become -1 or computed."""

from __future__ import annotations

import copy
import dataclasses
from contextlib import suppress

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Interpreter, Node
from torch.fx.node import Argument

from edgevit.errors import ExportError, first_line
from export.eager.failures import behind, place_near
from export.patterns import argument, aten, operand, shape_of
from export.program import Program, module_of

_INFERS_ONE_SIZE = frozenset({"view", "reshape", "_unsafe_view", "_reshape_alias"})
_LIKE_INPUT = frozenset({"new_zeros", "new_ones", "new_full", "new_empty"})
"""Take no more of a tensor than its dtype."""
_COPIES_SIZES = frozenset({"expand", "repeat", "zeros", "ones", "full", "empty"}) | _LIKE_INPUT
_WRITES_PART = frozenset({"index_put", "index_put_", "copy_"})
"""What these put somewhere has lost its leading axes of size 1 when it was captured."""
_NEEDS_EQUAL_SIZES = frozenset({"cat", "concat", "concatenate", "stack"})

_COPY = aten.index_select.default

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Chosen far above float32's noise between two batch sizes, and far below what another sample's answer differs by."""

_FREE_SIZES = "capturing wrote the size of the batch there: leave it to torch (-1, a tensor that broadcasts), or fix it"


def with_dynamic_batch(program: Program) -> Program:
    """The same program for any batch: axis 0 of every input and output is free.

    Proven by running it: a batch of twice the size must give what two runs of the captured program give.

    Raises:
        ExportError: The network mixes the samples of a batch, or fixes its size where it cannot be freed.
    """
    if program.dynamic_batch:
        return program
    batch = _batch(program)
    module = copy.copy(program.module)
    module.graph = copy.deepcopy(program.module.graph)
    _free(module.graph, batch)
    module.graph.lint()
    module.recompile()
    freed = dataclasses.replace(program, module=module, dynamic_batch=True)
    _prove(program, freed, batch)
    return freed


def _batch(program: Program) -> int:
    tensors = (*program.inputs, *program.outputs)
    sizes = {tensor.shape[0] if tensor.shape else 0 for tensor in tensors}
    if len(sizes) != 1 or 0 in sizes:
        shapes = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in tensors)
        raise ExportError(f"dynamic batch: the tensors of {program.spec.name} do not share their first axis: {shapes}")
    return sizes.pop()


def _free(graph: Graph, batch: int) -> None:
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    from_input = set(inputs)
    rows = _rows_of(graph, inputs[0])
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        name = _operator(node)
        if name not in _LIKE_INPUT and not from_input.isdisjoint(node.all_input_nodes):
            from_input.add(node)
        if name in _INFERS_ONE_SIZE and node in from_input:
            _infer_first_size(node, batch)
        elif name == "flatten" and node in from_input:
            _write_out_flatten(node)
        elif copies_batch(node, batch) and batch > 1:  # a leading 1 need not be the batch, and is broadcast
            _set_first_size(node, -1 if node in from_input else 1)
            if node not in from_input:
                for user in list(node.users):
                    user.replace_input_with(node, _copied(graph, node, rows, user))
        elif name in _NEEDS_EQUAL_SIZES and node in from_input:
            for constant in set(node.all_input_nodes) - from_input:
                _copy_beside_samples(graph, node, constant, rows, batch)
    graph.eliminate_dead_code()


def _operator(node: Node) -> str:
    """Name of the operator that ``node`` calls, without namespace and overload."""
    return node.target._schema.name.partition("::")[2] if isinstance(node.target, torch._ops.OpOverload) else ""


def _infer_first_size(node: Node, batch: int) -> None:
    given = node.args[1]
    sizes = list(given) if isinstance(given, (list, tuple)) else []
    if batch == 1 and _lost_its_batch(node):
        node.update_arg(1, [-1, *shape_of(node)])
        return
    if not sizes or not isinstance(sizes[0], int) or sizes[0] == -1:
        return
    if -1 in sizes:  # only one size can be inferred: the other one does not depend on the batch
        sizes[sizes.index(-1)] = shape_of(node)[sizes.index(-1)]
    node.update_arg(1, [-1, *sizes[1:]])


def _lost_its_batch(node: Node) -> bool:
    """Whether a view drops the axis of a batch of 1 only to be written into a part of each sample."""
    if "val" not in node.meta or {*map(_operator, node.users)} - _WRITES_PART:
        return False
    return shape_of(operand(node)) == (1, *shape_of(node))


def _write_out_flatten(node: Node) -> None:
    """Turn a flatten behind the batch into a reshape with known sizes: exporters compute those of a flatten."""
    if argument(node, 1, "start_dim", 0) != 0 and "val" in node.meta:
        node.target = aten.reshape.default
        node.args, node.kwargs = (node.args[0], [-1, *shape_of(node)[1:]]), {}


def copies_batch(node: Node, batch: int) -> bool:
    """Whether ``node`` makes a tensor of a size that is written down, and its first one may be the batch."""
    sizes = _sizes(node) if _operator(node) in _COPIES_SIZES else []
    return sizes[:1] == [batch] and "val" in node.meta and shape_of(node)[0] == batch


def _sizes(call: Node) -> list[Argument]:
    lists = (list(value) for value in call.args if isinstance(value, (list, tuple)))
    return next(lists, [])


def _rows_of(graph: Graph, first_input: Node) -> Node:
    """A 0 for every sample, computed without a size: converters write a size that stands in Python as a number."""
    behind = next(node for node in graph.nodes if node.op not in ("placeholder", "get_attr"))
    with graph.inserting_before(behind):
        values = first_input
        for _ in shape_of(first_input)[1:]:
            values = graph.call_function(aten.select.int, (values, 1, 0))
        return graph.call_function(aten.zeros_like.default, (values,), {"dtype": torch.int64})


def _set_first_size(node: Node, size: int) -> None:
    position = next(i for i, value in enumerate(node.args) if isinstance(value, (list, tuple)))
    node.update_arg(position, [size, *_sizes(node)[1:]])


def _copied(graph: Graph, node: Node, rows: Node, user: Node) -> Node:
    """The one row of ``node`` for every sample, in front of ``user``."""
    with graph.inserting_before(user):
        copied = graph.call_function(_COPY, (node, 0, rows))
    copied.meta = {key: value for key, value in node.meta.items() if key != "val"}
    return copied


def _copy_beside_samples(graph: Graph, node: Node, constant: Node, rows: Node, batch: int) -> None:
    """Copy what no input reaches for every sample where ``node`` puts it beside what comes from an input.

    A class token, as it is or with its position: all else broadcasts a first size of 1.
    """
    axis = argument(node, 1, "dim", 0)
    is_token = batch == 1 and "val" in constant.meta and shape_of(constant)[:1] == (1,)
    if is_token and (_operator(node) == "stack" or axis not in (0, -len(shape_of(constant)))):
        node.replace_input_with(constant, _copied(graph, constant, rows, node))


def _prove(program: Program, freed: Program, batch: int) -> None:
    generator = torch.Generator().manual_seed(1)
    other = tuple(_another(tensor, generator) for tensor in program.example)
    doubled = tuple(torch.cat(pair) for pair in zip(program.example, other, strict=True))
    with torch.no_grad():
        apart = zip(_tuple(program.module(*program.example)), _tuple(program.module(*other)), strict=True)
        try:
            together = _tuple(freed.module(*doubled))
        except Exception as error:
            reason = first_line(error).rstrip(".")
            what = f"dynamic batch: {program.spec.name}, captured for batch {batch}, fails for {2 * batch}: {reason}"
            raise ExportError(behind(what, _place_of_failure(freed.module, doubled)), hint=_FREE_SIZES) from error
    for tensor, pair, seen in zip(program.outputs, apart, together, strict=True):
        expected = torch.cat(pair)
        if seen.shape != expected.shape or not torch.allclose(seen, expected, rtol=RELATIVE, atol=ABSOLUTE):
            nodes = _fixed(freed.module.graph, batch)
            fixed = ", ".join(sorted({module_of(node) or "(root)" for node in nodes}))
            what = (
                f"dynamic batch: output '{tensor.name}' of {program.spec.name} depends on the other samples of the "
                f"batch or on its size{'; sizes are fixed in ' + fixed if fixed else ''}"
            )
            raise ExportError(behind(what, next((place for node in nodes if (place := place_near(node))), "")))


class _Walk(Interpreter):
    """Runs a graph and notes at which call it is."""

    def run_node(self, n: Node) -> object:
        self.at = n
        return super().run_node(n)


def _place_of_failure(module: GraphModule, inputs: tuple[Tensor, ...]) -> str:
    """The line of the network whose call fails on ``inputs``."""
    walk = _Walk(module)
    with suppress(Exception), torch.no_grad():
        walk.run(*(tensor.clone() for tensor in inputs))
    return place_near(walk.at)


def _another(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Other values of the same shape and dtype."""
    if tensor.dtype.is_floating_point:
        return torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
    return tensor.flip(0)


def _tuple(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def _fixed(graph: Graph, batch: int) -> list[Node]:
    """Calls that still write the batch as the first of several sizes."""
    return [
        node
        for node in graph.nodes
        if node.op == "call_function"
        and any(isinstance(value, (list, tuple)) and len(value) > 2 and value[0] == batch for value in node.args)
    ]
