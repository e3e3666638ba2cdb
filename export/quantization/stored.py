"""How many weights the layers of a plan hold: what several of them have in common counts once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from export.int8.record import LayerRecord, Scheme
from export.quantization.layers import layers_of
from export.quantization.numbers import rounded_steps
from export.quantization.run import channel_axis

if TYPE_CHECKING:
    from torch import Tensor

    from export.program import Program

_Content: TypeAlias = "tuple[int, bytes]"
"""Number of output channels, and a digest of the weights, channel by channel."""


def counted_once(program: Program, layers: Mapping[str, LayerRecord]) -> dict[str, LayerRecord]:
    """``layers`` with their numbers of weights: 0 where an earlier one, in int8 or float as this one, has equal ones.

    Equal is what a file may store once: float weights of the same values, be they one tensor of the program or two, and
    int8 ones of the same steps, as of a convolution that a norm of its own was folded into for each level of an image.
    A call of a shared module that stays float beside int8 ones needs weights of its own.

    Args:
        program: What the layers are of.
        layers: Every layer of it, by the name of its call.
    """
    found: dict[str, LayerRecord] = {}
    counted: set[tuple[bool, _Content]] = set()
    for node, kind, weight in layers_of(program):
        layer = layers[node.name]
        is_float, axis = layer.scheme is Scheme.FLOAT, channel_axis(kind, node, weight)
        key = is_float, _content(weight if is_float else rounded_steps(weight, axis), axis)
        found[node.name] = msgspec.structs.replace(layer, weights=0 if key in counted else weight.numel())
        counted.add(key)
    return found


def share_weights(program: Program) -> bool:
    """Whether two layers have equal weights, of which a file may store one."""
    contents = [_content(weight, channel_axis(kind, node, weight)) for node, kind, weight in layers_of(program)]
    return len({*contents}) < len(contents)


def _content(weight: Tensor, axis: int) -> _Content:
    rows = weight.detach().movedim(axis, 0).contiguous()
    return len(rows), hashlib.sha256(rows.numpy().tobytes()).digest()
