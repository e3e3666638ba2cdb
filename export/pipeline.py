"""``optimize``: which passes run for which format and precision, as lists."""

from __future__ import annotations

import dataclasses
from types import ModuleType

from export.graph_editor import GraphEditor
from export.passes import (
    affine_as_depthwise,
    broadcast_transposed_conv,
    canonical_views,
    centre_before_norm,
    channels_first,
    channels_last,
    drop_no_ops,
    fold_batch_norm,
    fold_norm_affine,
    fold_residual_depthwise,
    fold_scale,
    functional_form,
    hidden_in_tiles,
    in_place,
    join_projections,
    layer_norm_as_products,
    linear_as_pointwise,
    lone_pointwise_as_linear,
    long_sums_in_parts,
    matmul_as_batch,
    mean_as_pooling,
    mean_before_product,
    merge_duplicates,
    patches_as_linear,
    pointwise_as_linear,
    sample_before_norm,
    sampling_as_depthwise,
    sink_views,
    split_projection,
    tokens_as_rows,
)
from export.program import Program
from export.recipe import Format, Optimize, Precision, Recipe

BASIC: tuple[ModuleType, ...] = (
    functional_form,
    drop_no_ops,
    canonical_views,
    sink_views,
    fold_batch_norm,
    fold_residual_depthwise,
    split_projection,
    fold_scale,
    sample_before_norm,
    fold_norm_affine,
    sink_views,
    mean_before_product,
    merge_duplicates,
)
"""Folds that are the same for every format: fewer calls on the same layout."""

FULL: dict[tuple[Format, Precision], tuple[ModuleType, ...]] = {
    (Format.PTL, Precision.FP32): (
        *BASIC,
        join_projections,
        patches_as_linear,
        broadcast_transposed_conv,
        pointwise_as_linear,
        channels_last,
        hidden_in_tiles,
        merge_duplicates,
        in_place,
    ),
    (Format.ONNX, Precision.FP32): (
        *BASIC,
        join_projections,
        broadcast_transposed_conv,
        lone_pointwise_as_linear,
        channels_last,
        tokens_as_rows,
        merge_duplicates,
    ),
    (Format.TFLITE, Precision.FP32): (
        *BASIC,
        join_projections,
        long_sums_in_parts,
        broadcast_transposed_conv,
        pointwise_as_linear,
        sampling_as_depthwise,
        channels_last,
        centre_before_norm,
        layer_norm_as_products,
        merge_duplicates,
    ),
    (Format.PTE, Precision.FP32): (
        *BASIC,
        join_projections,
        long_sums_in_parts,
        broadcast_transposed_conv,
        sampling_as_depthwise,
        channels_last,
        centre_before_norm,
        layer_norm_as_products,
        affine_as_depthwise,
        linear_as_pointwise,
        matmul_as_batch,
        channels_first,
        mean_as_pooling,
        merge_duplicates,
    ),
}
"""The same folds, then how this format's runtime likes it at that precision: layout, and the phrasing of each layer."""


def passes_for(recipe: Recipe) -> tuple[ModuleType, ...]:
    """The passes that ``recipe`` asks for, in order."""
    if recipe.optimize is Optimize.NONE:
        return ()
    if recipe.optimize is Optimize.BASIC:
        return BASIC
    # gelu_ came with the runtimes of bytecode 8
    return tuple(
        step for step in FULL[recipe.format, recipe.precision] if step is not in_place or recipe.ptl_bytecode is None
    )


def optimize(program: Program, recipe: Recipe) -> Program:
    """Rewrite ``program`` for ``recipe`` without changing its function; ``program`` itself stays as it is.

    A graph that writes into tensors which others read too is left as it is, and ``passes`` says so.
    """
    passes = passes_for(recipe)
    if not passes:
        return program
    editor = GraphEditor(program.module)
    if blocked := functional_form.blocked(editor):
        return dataclasses.replace(program, passes=(*program.passes, blocked))
    logs = tuple(step.run(editor) for step in passes)
    return dataclasses.replace(program, module=editor.finish(), passes=program.passes + logs)
