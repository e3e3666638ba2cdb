"""Which node of an ONNX file computes which layer of a program: nodes are named after their step, which holds both."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from edgevit.errors import ExportError
from export.formats.steps import step_name
from export.int8.record import LayerRecord, Scheme
from export.program import Program
from export.quantization.layers import sizes_of

if TYPE_CHECKING:
    import onnx

PRODUCTS = frozenset({"Gemm", "MatMul"})
CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})


def nodes_of_layers(model: onnx.ModelProto, program: Program) -> dict[str, LayerRecord]:
    """By a node's name, the layer that it computes; of layers that do not stay float.

    Args:
        model: Named by ``graph.name_by_module``, its constants are initializers.
        program: With its plan.

    Raises:
        ExportError: A layer has no node of its own; names all of them.
    """
    sizes = {tensor.name: _elements(tensor.dims) for tensor in model.graph.initializer}
    found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        if node.op_type in PRODUCTS | CONVOLUTIONS and node.input[1] in sizes:
            found[node.name.rpartition("/")[0]].append(node)
    plan, weights, nodes, lost = program.quantization, sizes_of(program), {}, []
    assert plan is not None
    for call in program.module.graph.nodes:
        layer = plan.layers.get(call.name)
        if layer is None or layer.scheme is Scheme.FLOAT:
            continue
        named = found["/" + step_name(call, call.name)]
        own = [node for node in named if sizes[node.input[1]] == weights.get(call.name)]
        if len(own) == 1:
            nodes[own[0].name] = layer
        else:
            lost.append(layer.module or layer.name)
    if lost:
        raise ExportError(
            f"{program.spec.name}: no node of the ONNX file alone is the layer {', '.join(lost)}",
            hint="leave it out with --keep-float",
        )
    return nodes


def _elements(sizes: list[int]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count
