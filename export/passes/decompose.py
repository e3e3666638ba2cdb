"""Write what a format's converter or runtimes do not have, or get wrong, with calls that they have.

Needs: calls of ``REWRITES`` in the form that the format lacks, as it is said there.
Guarantees: the same function. Any ``optimize`` has this pass where there is such a call: it is no optimisation, the
file could not be written, or not be right, without it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from torch.fx import GraphModule, Node

from export.artifact import PassLog
from export.decompositions import arithmetic, curves, division, limits, placing, pooling
from export.functional.aliases import writes
from export.graph_editor import GraphEditor, Refusals
from export.patterns import aten
from export.recipe import Format

Rewrite = Callable[[GraphEditor, Node], Node | str | None]
ADAPTIVE_MAX: dict[object, Rewrite] = dict.fromkeys(
    (aten.adaptive_max_pool1d.default, aten.adaptive_max_pool2d.default, aten.adaptive_max_pool3d.default),
    pooling.adaptive_maximum,
)
ADAPTIVE_MEAN: dict[object, Rewrite] = dict.fromkeys(
    (aten.adaptive_avg_pool1d.default, aten.adaptive_avg_pool2d.default, aten.adaptive_avg_pool3d.default),
    pooling.adaptive_average,
)
EXACT: dict[object, Rewrite] = dict.fromkeys(
    (aten._upsample_nearest_exact1d.vec, aten._upsample_nearest_exact2d.vec, aten._upsample_nearest_exact3d.vec),
    placing.nearest,
)
VOLUMES: dict[object, Rewrite] = {
    aten.avg_pool3d.default: pooling.average_3d,
    aten.max_pool3d.default: pooling.maximum_3d,
    aten.adaptive_avg_pool3d.default: pooling.adaptive_average_3d,
}
FLOORS: dict[object, Rewrite] = dict.fromkeys(
    (aten.floor_divide.default, aten.floor_divide.Scalar, aten.div.Tensor_mode, aten.div.Scalar_mode),
    division.floor_divide,
)
SHIFTS: dict[object, Rewrite] = dict.fromkeys(
    (aten.__rshift__.Scalar, aten.bitwise_right_shift.Tensor_Scalar), division.right_shift
)
VALUES: dict[object, Rewrite] = dict.fromkeys((aten.max.dim, aten.min.dim), limits.values_of_maximum)
LIMITS: dict[object, Rewrite] = dict.fromkeys(
    (aten.clamp.default, aten.clamp_min.default, aten.clamp_max.default, aten.hardtanh.default),
    limits.limits_without_zero,
)
EMPTY: dict[object, Rewrite] = dict.fromkeys(placing.EMPTY, placing.zeros)
REWRITES: dict[Format, dict[object, Rewrite]] = {
    # memory that nobody has written, in all formats; younger than the last mobile runtime
    Format.PTL: {**EMPTY, aten.rms_norm.default: arithmetic.rms_norm},
    # unknown to torch's exporter, in general or with these arguments; a divisor and a long roll it writes wrongly.
    # Its logarithms of what was rounded to 0 or 1 are infinite or lose their digits, its quotients are cut instead of
    # rounded down or one off, its angles of zeros have the wrong sign, its distances are roots by a general power.
    Format.ONNX: {
        **EMPTY,
        **FLOORS,
        **SHIFTS,
        **ADAPTIVE_MAX,
        **ADAPTIVE_MEAN,
        **EXACT,
        aten.atan2.default: curves.atan2,
        aten.avg_pool2d.default: pooling.average_with_divisor,
        aten.bilinear.default: arithmetic.bilinear,
        aten.binary_cross_entropy_with_logits.default: curves.cross_entropy_with_logits,
        aten.cdist.default: arithmetic.distances,
        aten.channel_shuffle.default: placing.channel_shuffle,
        aten.col2im.default: placing.fold,
        aten.expm1.default: curves.expm1,
        aten.lift_fresh_copy.default: placing.copied(aten.clone.default),
        aten.log1p.default: curves.log1p,
        aten.log_sigmoid.default: curves.log_sigmoid,
        aten.mT.default: placing.transposed,
        aten.max_unpool2d.default: pooling.max_unpool,
        aten.max_unpool3d.default: pooling.max_unpool,
        aten.pairwise_distance.default: arithmetic.pairwise_distance,
        aten.remainder.Scalar: division.remainder,
        aten.remainder.Tensor: division.remainder,
        aten.rms_norm.default: arithmetic.rms_norm,
        aten.roll.default: placing.roll_within,
        aten.softplus.default: curves.softplus,
        aten.threshold.default: arithmetic.threshold,
    },
    # not lowered, or lowered to StableHLO, which no stock runtime runs; nearest rows it rounds otherwise than torch,
    # and it has no kernels for what is near a logarithm's or exponential's 0, nor for a rest with the input's sign
    Format.TFLITE: {
        **EMPTY,
        **ADAPTIVE_MAX,
        **SHIFTS,
        **VOLUMES,
        aten.avg_pool2d.default: pooling.average_without_border,
        aten.bilinear.default: arithmetic.bilinear,
        aten.col2im.default: placing.fold,
        aten.div.Tensor_mode: division.floor_divide_by_rest,
        aten.expm1.default: curves.expm1,
        aten.floor_divide.default: division.floor_divide_by_rest,
        aten.fmod.Scalar: division.fmod,
        aten.fmod.Tensor: division.fmod,
        aten.log1p.default: curves.log1p,
        aten.pow.Tensor_Scalar: arithmetic.power_of_few_axes,
        aten.rrelu.default: arithmetic.rrelu,
        aten.upsample_nearest1d.vec: placing.nearest_by_no_whole,
        aten.upsample_nearest2d.vec: placing.nearest_by_no_whole,
    },
    # outside of Core ATen or of the stock kernels. Its group norm loses the digits of what varies little, XNNPACK takes
    # each GELU for the exact one, a border around starts from memory that nobody has written, one of less than nothing
    # and patches that overlap stop the run (error 0x12). Its rest of whole numbers has the input's sign.
    Format.PTE: {
        **EMPTY,
        **ADAPTIVE_MAX,
        **LIMITS,
        **SHIFTS,
        **VALUES,
        **VOLUMES,
        aten.bilinear.default: arithmetic.bilinear,
        aten.col2im.default: placing.overlapping_fold,
        aten.constant_pad_nd.default: placing.pad,
        aten.gelu.default: arithmetic.gelu_by_tanh,
        aten.group_norm.default: arithmetic.group_norm,
        aten.instance_norm.default: arithmetic.instance_norm,
        aten.max_pool2d.default: limits.pool_with_stride,
        aten.pad.default: placing.pad,
        aten.remainder.Scalar: division.whole_remainder,
        aten.remainder.Tensor: division.whole_remainder,
        aten.rrelu.default: arithmetic.rrelu,
    },
}


def is_needed(module: GraphModule, format: Format) -> bool:
    """Whether there is a call that this pass may have to write otherwise."""
    return any(node.target in REWRITES[format] for node in module.graph.nodes)


def run(editor: GraphEditor, format: Format) -> PassLog:
    """Rewrite every such call for ``format``."""
    found, refusals = 0, Refusals()
    others_write = any(writes(node.target) for node in editor.graph.nodes)
    for node in editor.nodes(*REWRITES[format]):
        results = [user for user in node.users if user.target is operator.getitem]
        if node.target not in VALUES and any(user.args[1] != 0 and user.users for user in results):
            refusals.add(node, "its indices are read")
            continue
        new = REWRITES[format][node.target](editor, node)
        if isinstance(new, str):
            refusals.add(node, new)
        elif new is not None:
            if others_write:  # into the result, which must not be a view then
                new = editor.call(node, aten.clone.default, new)
            for old in [user for user in results if user.args[1] == 0] or [node]:
                editor.replace(old, new)
            found += 1
    editor.sweep()
    return PassLog(name="decompose", rewrites=found, detail=f"{found} calls written otherwise", refused=refusals.rows())
