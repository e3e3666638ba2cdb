"""Frees the batch of a captured program: the sizes that tracing wrote into the graph become -1 or computed."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import Tensor
from torch.fx import Graph, Node

from edgevit.errors import ExportError, first_line
from export.patterns import argument, aten, shape_of
from export.program import Program, module_of

_INFERS_ONE_SIZE = frozenset({"view", "reshape", "_unsafe_view", "_reshape_alias"})
_COPIES_SIZES = frozenset({"expand", "repeat", "zeros", "ones", "full", "empty"})
_NEEDS_EQUAL_SIZES = frozenset({"cat", "concat", "concatenate", "stack"})

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Chosen far above float32's noise between two batch sizes, and far below what another sample's answer differs by."""


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
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if not from_input.isdisjoint(node.all_input_nodes):
            from_input.add(node)
        name = _operator(node)
        if name in _INFERS_ONE_SIZE and node in from_input:
            _infer_first_size(node)
        elif name == "flatten" and node in from_input:
            _write_out_flatten(node)
        elif name in _COPIES_SIZES:
            _compute_first_size(graph, node, inputs[0], batch)


def _operator(node: Node) -> str:
    """Name of the operator that ``node`` calls, without namespace and overload."""
    return node.target._schema.name.partition("::")[2] if isinstance(node.target, torch._ops.OpOverload) else ""


def _infer_first_size(node: Node) -> None:
    given = node.args[1]
    sizes = list(given) if isinstance(given, (list, tuple)) else []
    if not sizes or not isinstance(sizes[0], int) or sizes[0] == -1:
        return
    if -1 in sizes:  # only one size can be inferred: the other one does not depend on the batch
        sizes[sizes.index(-1)] = shape_of(node)[sizes.index(-1)]
    node.update_arg(1, [-1, *sizes[1:]])


def _write_out_flatten(node: Node) -> None:
    """Turn a flatten behind the batch into a reshape with known sizes: exporters compute those of a flatten."""
    if argument(node, 1, "start_dim", 0) != 0 and "val" in node.meta:
        node.target = aten.reshape.default
        node.args, node.kwargs = (node.args[0], [-1, *shape_of(node)[1:]]), {}


def _compute_first_size(graph: Graph, node: Node, first_input: Node, batch: int) -> None:
    """Replace a leading size equal to the batch by the batch of the input, where the size is not the tensor's own."""
    lists = ((i, list(value)) for i, value in enumerate(node.args) if isinstance(value, (list, tuple)))
    position, sizes = next(lists, (0, []))
    is_batch = sizes[:1] == [batch] and "val" in node.meta and shape_of(node)[0] == batch
    # a leading 1 means the batch only where sizes must be equal: all else broadcasts a 1
    if not is_batch or (batch == 1 and not any(_operator(user) in _NEEDS_EQUAL_SIZES for user in node.users)):
        return
    with graph.inserting_before(node):
        size = graph.call_function(aten.sym_size.int, (first_input, 0))
    node.update_arg(position, [size, *sizes[1:]])


def _prove(program: Program, freed: Program, batch: int) -> None:
    generator = torch.Generator().manual_seed(1)
    other = tuple(_another(tensor, generator) for tensor in program.example)
    doubled = tuple(torch.cat(pair) for pair in zip(program.example, other, strict=True))
    with torch.no_grad():
        apart = zip(_tuple(program.module(*program.example)), _tuple(program.module(*other)), strict=True)
        try:
            together = _tuple(freed.module(*doubled))
        except Exception as error:
            reason = first_line(error)
            raise ExportError(
                f"dynamic batch: {program.spec.name}, captured for batch {batch}, fails for {2 * batch}: {reason}"
            ) from error
    for tensor, pair, seen in zip(program.outputs, apart, together, strict=True):
        expected = torch.cat(pair)
        if seen.shape != expected.shape or not torch.allclose(seen, expected, rtol=RELATIVE, atol=ABSOLUTE):
            fixed = ", ".join(sorted({module_of(node) or "(root)" for node in _fixed(freed.module.graph, batch)}))
            raise ExportError(
                f"dynamic batch: output '{tensor.name}' of {program.spec.name} depends on the other samples of the "
                f"batch or on its size{'; sizes are fixed in ' + fixed if fixed else ''}"
            )


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
