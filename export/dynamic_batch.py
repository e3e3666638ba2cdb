"""Frees the batch of a captured program: the sizes that tracing wrote into the graph become -1 or computed."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING

from edgevit.errors import ExportError
from export.program import Program, module_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Graph, Node

_INFERS_ONE_SIZE = frozenset({"view", "reshape", "_unsafe_view", "_reshape_alias"})
_COPIES_SIZES = frozenset({"expand", "repeat", "zeros", "ones", "full", "empty"})


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
    from_input = {node for node in graph.nodes if node.op == "placeholder"}
    first_input = next(iter(node for node in graph.nodes if node.op == "placeholder"))
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if from_input.intersection(node.all_input_nodes):
            from_input.add(node)
        name = node.target._schema.name.partition("::")[2] if hasattr(node.target, "_schema") else ""
        if name in _INFERS_ONE_SIZE and node in from_input:
            _infer_first_size(node)
        elif name == "flatten" and node in from_input:
            _write_out_flatten(node)
        elif name in _COPIES_SIZES:
            _compute_first_size(graph, node, first_input, batch)


def _infer_first_size(node: Node) -> None:
    sizes = list(node.args[1])  # type: ignore[arg-type]
    if not sizes or not isinstance(sizes[0], int) or sizes[0] == -1:
        return
    if -1 in sizes:  # only one size can be inferred: the other one does not depend on the batch
        sizes[sizes.index(-1)] = node.meta["val"].shape[sizes.index(-1)]
    sizes[0] = -1
    node.args = (node.args[0], sizes, *node.args[2:])


def _write_out_flatten(node: Node) -> None:
    """Turn a flatten behind the batch into a reshape with known sizes: exporters compute those of a flatten."""
    import torch

    start = node.args[1] if len(node.args) > 1 else node.kwargs.get("start_dim", 0)
    if start != 0 and "val" in node.meta:
        node.target = torch.ops.aten.reshape.default
        node.args, node.kwargs = (node.args[0], [-1, *node.meta["val"].shape[1:]]), {}


def _compute_first_size(graph: Graph, node: Node, first_input: Node, batch: int) -> None:
    """Replace a leading size equal to the batch by the batch of the input, where the size is not the tensor's own."""
    import torch

    position = next((i for i, value in enumerate(node.args) if isinstance(value, (list, tuple))), None)
    if position is None:
        return
    sizes = list(node.args[position])  # type: ignore[arg-type]
    value = node.meta.get("val")
    is_batch = bool(sizes) and sizes[0] == batch and value is not None and value.shape[0] == batch
    if not is_batch or (batch == 1 and not _meets_batch(node)):
        return
    with graph.inserting_before(node):
        size = graph.call_function(torch.ops.aten.sym_size.int, (first_input, 0))
    sizes[0] = size
    args = list(node.args)
    args[position] = sizes
    node.args = tuple(args)


def _meets_batch(node: Node) -> bool:
    """Whether a leading 1 means the batch: a concatenation needs equal sizes, all else broadcasts a 1."""
    names = {str(getattr(user.target, "_schema", "")).partition("(")[0] for user in node.users}
    return any(name.startswith(("aten::cat", "aten::stack")) for name in names)


def _prove(program: Program, freed: Program, batch: int) -> None:
    import torch

    generator = torch.Generator().manual_seed(1)
    other = tuple(_another(tensor, generator) for tensor in program.example)
    doubled = tuple(torch.cat(pair) for pair in zip(program.example, other, strict=True))
    with torch.no_grad():
        apart = zip(_tuple(program.module(*program.example)), _tuple(program.module(*other)), strict=True)
        try:
            together = _tuple(freed.module(*doubled))
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ExportError(
                f"dynamic batch: {program.spec.name}, captured for batch {batch}, fails for {2 * batch}: {reason}"
            ) from error
        for tensor, pair, seen in zip(program.outputs, apart, together, strict=True):
            expected = torch.cat(pair)
            if seen.shape != expected.shape or not torch.allclose(seen, expected, rtol=1e-3, atol=1e-4):
                fixed = ", ".join(sorted({module_of(node) or "(root)" for node in _fixed(freed.module.graph, batch)}))
                raise ExportError(
                    f"dynamic batch: output '{tensor.name}' of {program.spec.name} depends on the other samples of the "
                    f"batch or on its size{'; sizes are fixed in ' + fixed if fixed else ''}"
                )


def _another(tensor: Tensor, generator: object) -> Tensor:
    import torch

    if tensor.dtype.is_floating_point:
        noise = torch.randn(tensor.shape, generator=generator)  # type: ignore[call-overload]
        return torch.as_tensor(noise).to(tensor.dtype)
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
