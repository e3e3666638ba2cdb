"""Write ExecuTorch (``.pte``): lower to the XNNPACK delegate, and note what stayed outside it."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING

import msgspec

from edgevit.errors import ExportError, first_line
from export.eager.failures import place_near
from export.formats.failing_layers import layers_in
from export.formats.metadata import artifact_metadata
from export.formats.pte_file.contents import parse_bytes
from export.formats.pte_file.half import half_weights
from export.formats.pte_file.precision import require_inside, require_precision
from export.formats.pte_file.quantized_lowering import products_only, quantized_lowering
from export.formats.pte_file.quick_lowering import quick_lowering
from export.formats.pte_file.read import EXECUTORCH, METADATA_METHOD, OUTSIDE, Outside
from export.program import Program, module_of
from export.recipe import Precision, Recipe

if TYPE_CHECKING:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeProgramManager
    from torch.fx import GraphModule, Node

_PARTITIONER_LOGGER = "executorch.backends.xnnpack.partition"
_NOT_CORE = re.compile(r"Operator torch\._ops\.(\S+) is not in Core ATen opset \(.*")
_IS_NOT_CORE = r"\1 is not among the core operators of ATen, which are all that ExecuTorch takes"
_NOT_IN_PARTITIONER = "the XNNPACK partitioner does not have this operator"


def write(program: Program, recipe: Recipe, path: Path) -> None:
    """Lower ``program`` to XNNPACK and write the file.

    A ``.pte`` has no names for inputs and outputs; the method ``edgevit_export_metadata``, which takes nothing and
    returns JSON, holds them together with the spec, and with what stayed outside the delegate and why.

    Raises:
        ExportError: ExecuTorch refused the program, or left layers as they are that were to be of another precision.
    """
    _refuse_volumes(program)
    texts = artifact_metadata(program.spec, recipe, program.inputs, program.outputs, program.layers)
    module = program.module
    if recipe.precision is Precision.INT8:
        from export.formats.pte_file.quantize import quantized_module

        module = quantized_module(program)
    try:
        data = _lower(dataclasses.replace(program, module=module), recipe.precision, texts)
    except ExportError:
        raise
    except Exception as error:  # the lowering raises whatever torch.export and its own passes raise
        raise ExportError(f"executorch cannot lower {program.spec.name} to pte{_where(program, error)}") from error
    require_precision(program, recipe.precision, parse_bytes(data))
    path.write_bytes(data)


def _refuse_volumes(program: Program) -> None:
    """Refuse convolutions that ExecuTorch takes and then cannot run (error 0x12).

    Raises:
        ExportError: Names the layer.
    """
    for node in program.module.graph.nodes:
        if str(node.target).startswith(("aten.conv3d", "aten.conv_transpose3d")):
            place = module_of(node) or place_near(node) or "the network itself"
            raise ExportError(
                f"executorch cannot run {program.spec.name} as pte (in {place}): its kernels convolve over one or two "
                "axes, not three"
            )


def _lower(program: Program, precision: Precision, texts: dict[str, str]) -> bytes:
    import torch
    from executorch.exir import to_edge_transform_and_lower

    with torch.no_grad(), quick_lowering(), _lowering(precision) as partitioner, _refusals() as refusals:
        exported = torch.export.export(_in_plain_order(program.module), program.example, strict=False)
        manager: EdgeProgramManager = to_edge_transform_and_lower(
            exported, partitioner=[partitioner], constant_methods={METADATA_METHOD: ""}
        )
        outside = _outside(manager.exported_program().graph_module, refusals)
        require_inside(program.spec.name, outside)
        texts[OUTSIDE] = msgspec.json.encode(outside).decode()
        texts[EXECUTORCH] = version("executorch")
        # What stayed outside is known only now, when the manager has long copied its constant methods.
        manager._config_methods[METADATA_METHOD] = json.dumps(texts, sort_keys=True, ensure_ascii=False)
        data: bytes = manager.to_executorch().buffer
    return data


@contextmanager
def _lowering(precision: Precision) -> Iterator[XnnpackPartitioner]:
    """The partitioner for ``precision``, with what the lowering does otherwise for it."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    if precision is Precision.INT8:
        with quantized_lowering():
            yield products_only()
    else:
        with half_weights() if precision is Precision.FP16 else nullcontext():
            yield XnnpackPartitioner()


def _in_plain_order(module: GraphModule) -> GraphModule:
    """``module`` with every constant in memory in the order of its axes; ``module`` itself stays as it is.

    ExecuTorch reads from strides whether an image is channels last: a scale (1, C, 1, 1) that was a permuted
    (1, 1, 1, C) is taken for one, and the file fails when it is run.
    """
    import torch
    from torch.fx import GraphModule

    copy = GraphModule(module, module.graph)
    constants = [*copy.named_parameters(remove_duplicate=False), *copy.named_buffers(remove_duplicate=False)]
    for name, tensor in constants:
        plain = tensor.detach().clone(memory_format=torch.contiguous_format)
        if plain.stride() == tensor.stride():
            continue
        place, _, own = name.rpartition(".")
        kept = torch.nn.Parameter(plain, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else plain
        setattr(copy.get_submodule(place), own, kept)
    return copy


def _where(program: Program, error: BaseException) -> str:
    """``error`` as the end of a sentence, with the call that the converter was at and its module of the network."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    # the deepest cause says what was wrong; what a pass manager raises around it only names its pass
    said = ": ".join(dict.fromkeys(_NOT_CORE.sub(_IS_NOT_CORE, first_line(each)) for each in (error, causes[-1])))
    node = next((found for cause in reversed(causes) if (found := _node_at(cause)) is not None), None)
    return f"{layers_in(program, causes[-1])}: {said}" if node is None else f", at {_call_of(node)}: {said}"


def _node_at(error: BaseException) -> Node | None:
    """The innermost node of the network's own that a function held when ``error`` was raised."""
    from torch.fx import Node

    for frame, _ in reversed(list(walk_tb(error.__traceback__))):
        for value in frame.f_locals.values():
            if isinstance(value, Node) and module_of(value):
                return value
    return None


def _call_of(node: Node) -> str:
    """``aten::linear in blocks.0.mlp``."""
    schema = getattr(node.target, "_schema", None)
    return f"{node.target if schema is None else schema.name} in {module_of(node)}"


@contextmanager
def _refusals() -> Iterator[dict[str, str]]:
    """The partitioner's own reasons by node name, which it gives to its debug log."""
    found: dict[str, str] = {}

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            refusal = record.msg  # an object with the node and the reason, where it is no text
            if hasattr(refusal, "node") and hasattr(refusal, "reason"):
                found.setdefault(str(refusal.node), refusal.reason)

    top, collector = logging.getLogger(_PARTITIONER_LOGGER), Collector()
    family = [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if f"{name}.".startswith(f"{_PARTITIONER_LOGGER}.") and isinstance(logger, logging.Logger)
    ]
    levels, propagate = [logger.level for logger in family], top.propagate
    top.addHandler(collector)
    top.propagate = False
    for logger in family:
        logger.setLevel(logging.DEBUG)
    try:
        yield found
    finally:
        top.removeHandler(collector)
        top.propagate = propagate
        for logger, level in zip(family, levels, strict=True):
            logger.setLevel(level)


def _outside(graph_module: GraphModule, refusals: dict[str, str]) -> list[Outside]:
    """The kernels that the lowered graph calls itself."""
    calls: dict[tuple[str, str], list[Node]] = {}
    for node in graph_module.graph.nodes:
        if (name := _kernel_name(node)) is not None:
            calls.setdefault((name, refusals.get(node.name, _NOT_IN_PARTITIONER)), []).append(node)
    return [
        Outside(name=name, why=why, count=len(nodes), modules=tuple(dict.fromkeys(filter(None, map(module_of, nodes)))))
        for (name, why), nodes in calls.items()
    ]


def _kernel_name(node: Node) -> str | None:
    """``aten::mean`` for a call of that operator; None for delegate calls, tuple items and the like."""
    if node.op != "call_function" or not hasattr(node.target, "_schema"):
        return None
    name = str(node.target._schema.name)
    return None if name.startswith(("executorch_call_delegate", "higher_order")) else name
