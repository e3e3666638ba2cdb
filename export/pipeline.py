"""``optimize``: which passes run for which format and precision, as lists."""

from __future__ import annotations

import dataclasses
from types import ModuleType

from export.artifact import PassLog
from export.functional.aliases import writes
from export.graph_editor import GraphEditor
from export.passes import (
    affine_as_depthwise,
    attention_as_products,
    average_without_padding,
    batch_norm_as_affine,
    broadcast_transposed_conv,
    canonical_views,
    centre_before_norm,
    channels_first,
    channels_last,
    compute_constants,
    conv1d_as_conv2d,
    convs_as_products,
    decompose,
    drop_no_ops,
    fold_batch_norm,
    fold_channel_affine,
    fold_norm_affine,
    fold_residual_depthwise,
    fold_scale,
    functional_form,
    hard_sigmoid_as_clamp,
    in_place,
    join_narrow_projections,
    join_projections,
    layer_norm_as_means,
    layer_norm_as_products,
    layout_by_cost,
    linear_as_pointwise,
    long_sums_in_parts,
    matmul_as_batch,
    mean_as_pooling,
    mean_before_product,
    merge_duplicates,
    merge_parallel_convs,
    numbers_as_floats,
    operators_of_old_runtimes,
    padding_in_numbers,
    parts_as_slices,
    patches_as_linear,
    pointwise_as_linear,
    pooling_as_mean,
    prepacked,
    repeats_as_products,
    roll_as_slices,
    rows_that_are_read,
    rsqrt_as_quotient,
    sample_before_norm,
    sampling_as_depthwise,
    second_product_as_conv,
    sink_views,
    softmax_over_rows,
    split_projection,
    sums_as_products,
    thin_images_as_rows,
    tokens_as_rows,
    unfold_as_views,
    views_as_one,
    windows_in_five_axes,
    windows_once,
)
from export.program import Program
from export.recipe import Format, Optimize, Precision, Recipe

BASIC: tuple[ModuleType, ...] = (
    functional_form,
    drop_no_ops,
    padding_in_numbers,
    compute_constants,
    canonical_views,
    sink_views,
    fold_batch_norm,
    merge_parallel_convs,
    fold_channel_affine,
    fold_residual_depthwise,
    fold_batch_norm,
    split_projection,
    fold_scale,
    sample_before_norm,
    fold_norm_affine,
    sink_views,
    mean_before_product,
    rows_that_are_read,
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
        merge_duplicates,
        in_place,
    ),
    (Format.ONNX, Precision.FP32): (
        functional_form,
        drop_no_ops,
        compute_constants,
        attention_as_products,
        canonical_views,
        split_projection,
        *BASIC,
        join_projections,
        broadcast_transposed_conv,
        sink_views,
        layout_by_cost,
        tokens_as_rows,
        merge_duplicates,
    ),
    (Format.TFLITE, Precision.FP32): (
        functional_form,
        drop_no_ops,
        compute_constants,
        attention_as_products,
        canonical_views,
        split_projection,
        *BASIC,
        join_narrow_projections,
        long_sums_in_parts,
        broadcast_transposed_conv,
        pointwise_as_linear,
        sampling_as_depthwise,
        pooling_as_mean,
        channels_last,
        thin_images_as_rows,
        second_product_as_conv,
        centre_before_norm,
        layer_norm_as_means,
        windows_once,
        views_as_one,
        rsqrt_as_quotient,
        merge_duplicates,
    ),
    (Format.PTE, Precision.FP32): (
        functional_form,
        drop_no_ops,
        compute_constants,
        unfold_as_views,
        conv1d_as_conv2d,
        attention_as_products,
        canonical_views,
        split_projection,
        *BASIC,
        batch_norm_as_affine,
        average_without_padding,
        join_projections,
        long_sums_in_parts,
        windows_in_five_axes,
        roll_as_slices,
        sampling_as_depthwise,
        channels_last,
        centre_before_norm,
        layer_norm_as_products,
        affine_as_depthwise,
        linear_as_pointwise,
        matmul_as_batch,
        channels_first,
        mean_as_pooling,
        sums_as_products,
        parts_as_slices,
        repeats_as_products,
        hard_sigmoid_as_clamp,
        numbers_as_floats,
        softmax_over_rows,
        merge_duplicates,
    ),
}
"""The same folds, then how this format's runtime likes it at that precision: layout, and the phrasing of each layer."""

FULL[Format.PTL, Precision.INT8] = tuple(step for step in FULL[Format.PTL, Precision.FP32] if step is not in_place)
"""Calls that write would change what is observed; the writer lets them write behind its own rewriting."""


def _before(steps: tuple[ModuleType, ...], place: ModuleType, *more: ModuleType) -> tuple[ModuleType, ...]:
    """``steps`` with ``more`` in front of ``place``."""
    index = steps.index(place)
    return (*steps[:index], *more, *steps[index:])


FULL[Format.ONNX, Precision.INT8] = _before(
    # int8 products take a third of their float time; convolutions of ONNX Runtime in int8 need rounded outputs
    FULL[Format.ONNX, Precision.FP32], layout_by_cost, convs_as_products
)  # fmt: skip

FULL |= {
    (format, precision): FULL[format, Precision.FP32]
    for format in Format
    for precision in (Precision.FP16, Precision.INT8)
    if (format, precision) not in FULL
}


def optimize(program: Program, recipe: Recipe) -> Program:
    """Rewrite ``program`` for ``recipe`` without changing its function; ``program`` itself stays as it is.

    A graph with a write that ``functional_form`` has to leave is left as it is, but for calls that the recipe's
    runtimes do not have. ``passes`` gets a log of every pass that was asked for, those that did not run included.
    """
    asked = _asked_for(recipe, program)
    if not asked:
        return program
    editor = GraphEditor(program.module)
    logs: tuple[PassLog, ...] = ()
    left = False
    for step in asked:
        log = _run(step, editor, recipe, left=left)
        if step is not decompose or log.rewrites or log.refused:
            logs += (log,)
        left = left or (step is functional_form and bool(log.refused))
    if not any(log.rewrites for log in logs) and (left or not _is_optimised(recipe)):
        return dataclasses.replace(program, passes=program.passes + logs)
    return dataclasses.replace(program, module=editor.finish(), passes=program.passes + logs)


def _is_optimised(recipe: Recipe) -> bool:
    return recipe.optimize is not Optimize.NONE


def _asked_for(recipe: Recipe, program: Program) -> tuple[ModuleType, ...]:
    steps = _needed(recipe, program)
    if _is_optimised(recipe):
        passes = BASIC if recipe.optimize is Optimize.BASIC else FULL[recipe.format, recipe.precision]
        # behind the first pass, for all others to see; and at the end for what they have made of a call
        steps = (passes[0], *steps, *passes[1:], *(() if in_place in passes else steps))
    place = steps.index(in_place) if in_place in steps else len(steps)
    asked = ((operators_of_old_runtimes, recipe.ptl_bytecode is not None), (prepacked, recipe.ptl_prepacked))
    return (*steps[:place], *(step for step, is_asked in asked if is_asked), *steps[place:])


def _needed(recipe: Recipe, program: Program) -> tuple[ModuleType, ...]:
    """What no file could be written without, whatever is optimised."""
    targets = {node.target for node in program.module.graph.nodes}
    is_plain = not _is_optimised(recipe)
    asked = (
        # torch's ONNX exporter loses some writes into parts of tensors
        (functional_form, is_plain and recipe.format is Format.ONNX and any(map(writes, targets))),
        (padding_in_numbers, is_plain and not targets.isdisjoint(padding_in_numbers.WORDS)),
        (decompose, decompose.is_needed(program.module, recipe.format)),
    )
    return tuple(step for step, is_asked in asked if is_asked)


def _run(step: ModuleType, editor: GraphEditor, recipe: Recipe, *, left: bool) -> PassLog:
    """Run a pass; ``left`` says that the graph is not to be optimised."""
    if step is operators_of_old_runtimes or (step is in_place and not left):
        log: PassLog = step.run(editor, recipe.ptl_bytecode)
    elif step is decompose:
        log = step.run(editor, recipe.format)
    elif left and step is not prepacked:
        why = "functional_form had to leave calls that write into tensors"
        log = PassLog(name=step.__name__.rpartition(".")[2], rewrites=0, not_run=why)
    elif step is convs_as_products:
        log = step.run(editor, static=recipe.calibration is not None)
    elif step is compute_constants:
        log = step.run(editor, free_batch=recipe.dynamic_batch)
    else:
        log = step.run(editor)
    return log
