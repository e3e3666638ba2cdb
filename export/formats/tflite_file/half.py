"""Weights in half precision: stored in 16 bits, widened by an operator that delegates run once, at load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevit.errors import ExportError
from export.formats.tflite_file.flat_model import packed, unpacked
from export.formats.tflite_file.layer_marks import WEIGHTED
from export.formats.tflite_file.operator_versions import set_versions
from export.quantization.layers import layers_of, place_of

if TYPE_CHECKING:
    from export.program import Program

LARGEST = 65504.0  # of half precision


def halved(data: bytes, program: Program) -> bytes:
    """The file ``data`` with the weights of its products in half precision; inputs, outputs and arithmetic in float32.

    Raises:
        ExportError: Weights of ``program`` are too large for half precision; names their modules.
    """
    import torch

    if beyond := [place_of(node) for node, _, held in layers_of(program) if bool((torch.abs(held) > LARGEST).any())]:
        raise ExportError(
            f"weights of {', '.join(beyond)} are larger than {LARGEST:.0f}: half precision has no such numbers",
            hint="use fp32 or int8",
        )
    model = unpacked(_rewritten(data))
    set_versions(model)
    return packed(model)


def _rewritten(data: bytes) -> bytes:
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import RecipeManager

    recipe = RecipeManager()
    for name in WEIGHTED:
        if name != "BATCH_MATMUL":  # FLOAT_CASTING does not know it
            operator = TFLOperationName({"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}.get(name, name))
            recipe.add_weight_only_config(".*", operator, num_bits=16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    result = Quantizer(data, recipe.get_quantization_recipe()).quantize(
        enable_progress_bar=False, enable_progress_report=False
    )
    return bytes(result.quantized_model or b"")
