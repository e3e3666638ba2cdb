"""Int8 in a finished float32 file: the layers of the plan by their schemes, every other operator as it was.

ai-edge-quantizer rewrites the file. Its own calibration averages the extremes of the images, which cost 14 dB on a
trained network; here the ranges are least and greatest over all images. They are taken on the file, not on the program:
what the converter fused behind a product (a bias, an activation) belongs to the range of its output.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgevit.errors import ExportError
from export.formats.tflite_file.contents import TfliteGraph, parse_bytes
from export.formats.tflite_file.flat_model import packed, unpacked
from export.formats.tflite_file.layer_marks import (
    Product,
    layers_behind,
    marked_products,
    products,
    weights_of,
    without_marks,
)
from export.formats.tflite_file.operator_versions import set_versions
from export.formats.tflite_file.own_biases import give_biases
from export.formats.tflite_file.read import SIGNATURE
from export.int8.record import Scheme
from export.quantization.layers import sizes_of

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import ModelT
    from ai_edge_quantizer.recipe_manager import RecipeManager

    from export.int8.plan import Quantization
    from export.int8.record import LayerRecord
    from export.program import Program

Ranges: TypeAlias = "dict[str, dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]"
Placed: TypeAlias = "Mapping[str, Sequence[Product]]"

_NAMED = 5  # chosen: layers that one line of an error can hold
_OPERATOR = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}  # ai-edge-quantizer's own word
_TYPES = {
    Scheme.FLOAT: ("float32", "float32", "float32", False),
    Scheme.WEIGHTS: ("float32", "int8", "float32", True),
    Scheme.DYNAMIC: ("float32", "int8", "float32", False),
    Scheme.STATIC: ("int8", "int8", "int8", False),
}
"""Of what a product of that scheme reads, of its weights, and of what it gives; whether its weights are widened."""


def quantized(data: bytes, program: Program) -> bytes:
    """The file ``data`` with the layers of ``program.quantization`` in int8; its names bear no marks any more.

    Args:
        data: What the converter wrote, float32, with the layers marked in the names (``layer_marks``).
        program: What it was written from.

    Raises:
        ExportError: There is no plan, a layer is not to be found in the file, or did not become what it should.
    """
    plan = program.quantization
    if plan is None:
        raise ExportError(f"{program.spec.name} has no plan of its layers: int8 cannot be written without one")
    graph, placed = _placed(data, program, plan)
    if lost := [layer for name, layer in plan.layers.items() if layer.scheme is not Scheme.FLOAT and not placed[name]]:
        raise ExportError(
            f"the TFLite file does not show which operators became {_few(lost)}: they cannot be quantised",
            hint="leave them out with --keep-float",
        )
    recipe = _recipe(graph, plan, placed)
    names = [tensor.name for tensor in program.inputs]
    feeds = [{name: value.numpy() for name, value in zip(names, feed, strict=True)} for feed in plan.feeds]
    result = _rewritten(data, recipe, feeds)
    rewritten = parse_bytes(result).graphs[0]
    _require_done(rewritten, plan, _again(graph, placed, rewritten), placed)
    model = unpacked(result)
    give_biases(model)
    set_versions(model)
    _unmark(model)
    return packed(model)


def _placed(data: bytes, program: Program, plan: Quantization) -> tuple[TfliteGraph, Placed]:
    """The graph of a float32 file, and the products of each layer in it."""
    file, own = parse_bytes(data), sizes_of(program)
    results = next(node for node in program.module.graph.nodes if node.op == "output").args[0]
    results = results if isinstance(results, tuple) else (results,)
    nodes = dict(zip([tensor.name for tensor in program.outputs], results, strict=True))
    answers = {index: layers_behind(nodes[name], plan.layers) for name, index in file.signatures[0].outputs.items()}
    sizes = {name: own.get(name, 0) for name in plan.layers}
    return file.graphs[0], marked_products(file.graphs[0], sizes, answers)


def _recipe(graph: TfliteGraph, plan: Quantization, placed: Placed) -> RecipeManager:
    """One row for each scheme and kind of operator; an operator is told by the name of what it makes, all of it."""
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.recipe_manager import RecipeManager

    recipe = RecipeManager()
    for (scheme, name), made in _grouped(graph, plan, placed).items():
        pattern = f"^(?:{'|'.join(map(re.escape, made))});$"
        operator = TFLOperationName(_OPERATOR.get(name, name))
        if scheme is Scheme.STATIC:
            recipe.add_static_config(pattern, operator, activation_num_bits=8, weight_num_bits=8)
        elif scheme is Scheme.DYNAMIC:
            recipe.add_dynamic_config(pattern, operator, num_bits=8)
        else:
            recipe.add_weight_only_config(pattern, operator, num_bits=8)
    return recipe


def _grouped(graph: TfliteGraph, plan: Quantization, placed: Placed) -> dict[tuple[Scheme, str], list[str]]:
    found: dict[tuple[Scheme, str], list[str]] = {}
    for name, layer in plan.layers.items():
        for product in placed[name] if layer.scheme is not Scheme.FLOAT else ():
            found.setdefault((layer.scheme, product.operator.name), []).append(_made(graph, product))
    return found


def _rewritten(data: bytes, recipe: RecipeManager, feeds: list[dict[str, np.ndarray]]) -> bytes:
    """What ai-edge-quantizer makes of the file."""
    from ai_edge_quantizer.quantizer import Quantizer

    rows = recipe.get_quantization_recipe()
    if not rows:
        return data
    quantizer = Quantizer(data, rows)
    with warnings.catch_warnings():  # that all tensors are kept, which is what it needs them for
        warnings.filterwarnings("ignore", "Warning: Enabling `experimental_preserve_all_tensors`", UserWarning)
        ranges = _ranges(data, recipe, feeds) if feeds else None
        result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model or b"")


def _ranges(data: bytes, recipe: RecipeManager, feeds: list[dict[str, np.ndarray]]) -> Ranges:
    """Least and greatest value of every tensor that the recipe touches, over all ``feeds``."""
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    calibrator = Calibrator(data, num_threads=1, qsv_update_func=min_max_update)
    calibrator.calibrate({SIGNATURE: feeds}, recipe)
    found: Ranges = calibrator.get_model_qsvs()
    return found


def _again(graph: TfliteGraph, placed: Placed, rewritten: TfliteGraph) -> Placed:
    """The products of each layer in the rewritten graph, which has kept the names of what they give."""
    names = {_made(graph, product): name for name, found in placed.items() for product in found}
    again: dict[str, list[Product]] = {name: [] for name in placed}
    for product in products(rewritten):
        if (name := names.get(_made(rewritten, product))) is not None:
            again[name].append(product)
    return again


def _require_done(graph: TfliteGraph, plan: Quantization, placed: Placed, before: Placed) -> None:
    """Refuse a file in which a layer is not computed as planned.

    Args:
        graph: As it was rewritten.
        plan: What was to become of each layer.
        placed: The products of each layer in it.
        before: Those that it had in float32.

    Raises:
        ExportError: Names the layers.
    """
    wrong = [
        layer
        for name, layer in plan.layers.items()
        if weights_of(placed[name]) != weights_of(before[name]) or not _is_done(graph, layer, placed[name])
    ]
    if wrong:
        schemes = ", ".join(sorted({layer.scheme for layer in wrong}))
        raise ExportError(
            f"ai-edge-quantizer did not make {_few(wrong)} {schemes}", hint="leave them out with --keep-float"
        )


def _is_done(graph: TfliteGraph, layer: LayerRecord, products: Sequence[Product]) -> bool:
    """Whether all products of a layer have the types of its scheme; one in float may have become anything else."""
    found = {_types(graph, product) for product in products}
    return found == {_TYPES[layer.scheme]} or (layer.scheme is Scheme.FLOAT and not found)


def _made(graph: TfliteGraph, product: Product) -> str:
    """The name of what a product gives, which no other tensor has."""
    return graph.tensors[product.operator.outputs[0]].name


def _types(graph: TfliteGraph, product: Product) -> tuple[str, str, str, bool]:
    operator = product.operator
    reads = operator.inputs[2 if operator.name == "TRANSPOSE_CONV" else 0]
    read, made = (graph.tensors[index].dtype for index in (reads, operator.outputs[0]))
    return read, product.weights.dtype, made, product.widened


def _unmark(model: ModelT) -> None:
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    names = without_marks([tensor.name.decode() for tensor in tensors])
    for tensor, name in zip(tensors, names, strict=True):
        tensor.name = name.encode()


def _few(layers: list[LayerRecord]) -> str:
    """``blocks.0.fc1 (linear_3), head (linear_9) and 4 more``."""
    told = [layer.name if layer.module in {"", layer.name} else f"{layer.module} ({layer.name})" for layer in layers]
    named = ", ".join(told[:_NAMED])
    return named + (f" and {len(layers) - _NAMED} more" if len(layers) > _NAMED else "")
