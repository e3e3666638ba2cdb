"""Write ONNX (``.onnx``): export, simplify, name by module, check.

The TorchScript-based exporter writes every opset below; the newer one only 18 and up, and its conversion downwards
leaves the network at 18. It records no source, so ``Steps`` gives every node the network's module in its name:
``/stages/1/blocks/0/attn/softmax/Softmax``.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import ExportError, first_line
from export.formats.failing_layers import layers_in
from export.formats.metadata import artifact_metadata
from export.formats.onnx_file.graph import constants_to_initializers, name_by_module, state_output_shapes, weight_paths
from export.formats.onnx_file.half import halve
from export.formats.onnx_file.metadata import DESCRIPTION, GRAPH, own_metadata
from export.formats.onnx_file.quantize import quantize
from export.program import Program
from export.quantization.stored import share_weights
from export.recipe import DEFAULT_OPSET, Optimize, Precision, Recipe

if TYPE_CHECKING:
    import onnx

BATCH = "batch"
SPLITS_GELU = "fuse_preceding_mul_into_conv"
"""It moves GELU's last factor, 0.5, into the convolution behind: ONNX Runtime then no longer finds the GELU, and
computes it in four calls between two changes of layout. The scales that pay are folded by the passes."""

JOIN_LAYERS = ["fuse_qkv", "fuse_matmul_into_conv"]
"""They make one node of several layers, each of which has its place in the plan of int8."""


NAMELESS = ["fuse_matmul_add_bias_into_gemm", "fuse_matmul_add_bias_into_gemm_batched"]
"""They make nodes without a name, whose layer only their weights tell: not where layers share those."""


def write(program: Program, recipe: Recipe, path: Path) -> None:
    """Write ``program`` as ONNX; equal programs and recipes give equal bytes.

    Raises:
        ExportError: An operator has no ONNX form, or the written file does not pass the checker.
    """
    opset = recipe.opset or DEFAULT_OPSET
    converted = _convert(program, opset)
    model = _simplify(converted, program, recipe)
    constants_to_initializers(model)
    if recipe.precision is Precision.FP16:
        halve(model)
    name_by_module(model, weight_paths(converted))
    if recipe.precision is Precision.INT8:
        quantize(model, program)
    state_output_shapes(model, program.outputs, BATCH)
    _describe(model, program, recipe)
    data = model.SerializeToString(deterministic=True)
    _check(data, program.spec.name)
    path.write_bytes(data)


def _convert(program: Program, opset: int) -> onnx.ModelProto:
    import onnx
    import torch

    from export.formats.steps import Steps

    names = [tensor.name for tensor in (*program.inputs, *program.outputs)]
    buffer = io.BytesIO()
    try:
        torch.onnx.export(
            Steps(program),
            program.example,
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=opset,
            input_names=names[: len(program.inputs)],
            output_names=names[len(program.inputs) :],
            dynamic_axes={name: {0: BATCH} for name in names} if program.dynamic_batch else None,
        )
    except Exception as error:
        where = layers_in(program, error)
        raise ExportError(
            f"cannot write {program.spec.name} as ONNX opset {opset}{where}: {first_line(error)}"
        ) from error
    return onnx.load_from_string(buffer.getvalue())


def _simplify(model: onnx.ModelProto, program: Program, recipe: Recipe) -> onnx.ModelProto:
    import onnxsim

    skipped = [] if recipe.optimize is Optimize.NONE else [SPLITS_GELU]
    if recipe.precision is Precision.INT8:
        skipped += [*JOIN_LAYERS, *(NAMELESS if share_weights(program) else ())]
    try:
        simplified: onnx.ModelProto = onnxsim.simplify(model, skipped_optimizers=skipped)[0]
    except Exception as error:
        raise ExportError(f"onnxsim failed on {program.spec.name}: {error}") from error
    return simplified


def _describe(model: onnx.ModelProto, program: Program, recipe: Recipe) -> None:
    """Set the lowest IR version that the opset allows, and the metadata."""
    import onnx

    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    own = own_metadata(program.spec, program.inputs, program.outputs)
    model.graph.name, model.doc_string = own[GRAPH], own[DESCRIPTION]
    for node in model.graph.node:
        node.ClearField("doc_string")
    texts = artifact_metadata(program.spec, recipe, program.inputs, program.outputs, program.layers)
    onnx.helper.set_model_props(model, texts)


def _check(model: bytes, name: str) -> None:
    """Run the full checker with shape inference on a file's bytes."""
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:
        raise ExportError(f"the ONNX checker refuses {name}: {error}") from error
