"""The int8 form of a program: calls that round and widen again around each layer, as XNNPACK's partitioner reads it.

``widen -> product -> round`` with constant ranges becomes an int8 product; ``measure -> round -> widen -> product`` one
that takes the range of its input in every call, for each row of a linear layer and each image of a convolution. Weights
have a scale for each output channel. Each product gets a bias of its own: the serialiser defines a constant once, with
the type and scale of its first user, and two int8 products that share one compute with the wrong bias (-1.1 dB, no
error).
"""

from __future__ import annotations

import operator
from math import inf
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

from edgevit.errors import ExportError
from export.graph_editor import GraphEditor
from export.int8.plan import Quantization, Range
from export.int8.record import LayerKind, LayerRecord, Scheme
from export.patterns import argument, aten, only_user
from export.quantization.layers import activation_of, place_of, weights_of
from export.quantization.numbers import ACTIVATION_STEPS, SMALLEST_SCALE, WEIGHT_STEPS, activation_scale, weight_scales
from export.quantization.run import channel_axis

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import GraphModule, Node

    from export.program import Program

_CODES = (-128, 127, torch.int8)
_WEIGHT_CODES = (-WEIGHT_STEPS, WEIGHT_STEPS, torch.int8)
_ZERO = 128  # XNNPACK's codes are signed
# XNNPACK scales sums by a factor of 2**-32 to 2**8, and refuses the file at load beyond that; a bias has 32 bits.
_LEAST_FACTOR, _MOST_FACTOR, _MOST_BIAS = 2.0**-30, 2.0**7, 2.0**30
_PRODUCTS = (aten.linear.default, aten.addmm.default, aten.mm.default, aten.matmul.default)
_FUSED = (aten.relu.default, aten.hardtanh.default)
_ROUNDED = (Scheme.DYNAMIC, Scheme.STATIC)


def quantized_module(program: Program) -> GraphModule:
    """The module of ``program`` with the layers of its plan in int8; inputs and outputs stay float32.

    Raises:
        ExportError: The plan asks for what XNNPACK has no products for; names the layers.
    """
    plan = program.quantization
    assert plan is not None
    from torch.ao.quantization.fx import _decomposed

    assert _decomposed  # it registers the operators
    editor = GraphEditor(program.module)
    _refuse(program.spec.name, editor, plan)
    layers = _Layers(editor, plan)
    for node in editor.nodes():
        layer = plan.layers.get(node.name)
        if layer is not None and layer.scheme is not Scheme.FLOAT:
            layers.round(node, layer)
    return editor.finish()


def _refuse(model: str, editor: GraphEditor, plan: Quantization) -> None:
    wrong = [
        place_of(node)
        for node in editor.nodes()
        if (layer := plan.layers.get(node.name))
        and layer.scheme is not Scheme.FLOAT
        and not _is_known(editor, node, layer)
    ]
    if wrong:
        raise ExportError(
            f"XNNPACK has no int8 products for {len(wrong)} layers of {model} that were to be int8: "
            + ", ".join(dict.fromkeys(wrong)),
            hint="leave them out with --keep-float",
        )


def _is_known(editor: GraphEditor, node: Node, layer: LayerRecord) -> bool:
    """Whether XNNPACK has such a product: over two axes, with constant weights and bias."""
    weight = weights_of(editor.module, node)
    if weight is None or node.kwargs or layer.scheme not in _ROUNDED:
        return False
    if layer.kind is LayerKind.LINEAR:
        return weight.dim() == 2
    return (
        weight.dim() == 4
        and editor.weights(node) is not None
        and (layer.kind is not LayerKind.TRANSPOSED or int(str(argument(node, 6, "groups", 1))) == 1)
    )


class _Layers:
    """Layers in int8, one after the other in the order of the graph."""

    def __init__(self, editor: GraphEditor, plan: Quantization) -> None:
        self._editor, self._plan, self._ops = editor, plan, torch.ops.quantized_decomposed
        self._codes: dict[Node, tuple[Node, float, int]] = {}

    def round(self, node: Node, layer: LayerRecord) -> None:
        """Put ``layer``, the call ``node``, in its scheme."""
        weight = weights_of(self._editor.module, node)
        assert weight is not None, node.format_node()
        axis = channel_axis(layer.kind, node, weight)
        scales = weight_scales(weight, axis)
        if layer.scheme is Scheme.DYNAMIC:
            source = activation_of(node)
            if layer.kind is LayerKind.CONV and weight.shape[1] == 1:
                source, weight = self._of_two_channels(node, source, weight)
            self._editor.replace(node, self._product(node, self._measured(node, source), weight, axis, scales))
            return
        codes, scale, zero = self._fixed(node)
        read = self._editor.call(node, self._ops.dequantize_per_tensor.default, codes, scale, zero, *_CODES)
        last, found = self._last(node)
        out = _output_steps(found, scale * float(scales.max()) / _MOST_FACTOR)
        least = torch.full_like(scales, out[0] * _LEAST_FACTOR / scale)
        if (bias := self._bias(node)) is not None:
            least = least.maximum(bias.abs() / (scale * _MOST_BIAS))
        self._output(last, node, self._product(node, read, weight, axis, scales.maximum(least)), out)

    def _of_two_channels(self, node: Node, source: Node, weight: Tensor) -> tuple[Node, Tensor]:
        """``source`` and ``weight`` with a channel of zeros: XNNPACK takes a lone one for a depthwise convolution.

        These it does not compute with ranges of run time.
        """
        padding = [0, 0] * (weight.dim() - 2) + [0, 1]
        return self._editor.call(node, aten.constant_pad_nd.default, source, padding, 0.0), pad(weight, padding)

    def _measured(self, node: Node, source: Node) -> Node:
        """``source``, which ``node`` reads, rounded to the range that it has in this call.

        Layers that read the same value round it each for itself: a rounding that two share tears the delegate apart
        where one of them is followed by a clamp.
        """
        call = self._editor.call
        both = call(node, self._ops.choose_qparams.tensor, source, *_CODES[:2], SMALLEST_SCALE, torch.int8)
        steps = [call(node, operator.getitem, both, place) for place in range(2)]
        codes = call(node, self._ops.quantize_per_tensor.tensor, source, *steps, *_CODES)
        return call(node, self._ops.dequantize_per_tensor.tensor, codes, *steps, *_CODES)

    def _fixed(self, node: Node) -> tuple[Node, float, int]:
        """Codes of what ``node`` reads, their scale and zero point; those of the layer that it comes from, if any."""
        source = activation_of(node)
        if source not in self._codes:
            steps = _output_steps(self._plan.inputs[node.name], 0.0)
            codes = self._editor.call(node, self._ops.quantize_per_tensor.default, source, *steps, *_CODES)
            self._codes[source] = (codes, *steps)
        return self._codes[source]

    def _last(self, node: Node) -> tuple[Node, Range]:
        """The activation that XNNPACK fuses with the layer ``node``, or ``node`` itself, and the range behind it."""
        found, user = self._plan.outputs[node.name], only_user(node)
        if user is None or user.target not in _FUSED:
            return node, found
        low, high = (0.0, inf) if user.target is aten.relu.default else _limits(user)
        return user, Range(min(max(found.low, low), high), min(max(found.high, low), high))

    def _output(self, last: Node, node: Node, product: Node, steps: tuple[float, int]) -> None:
        """Let the users of ``last`` read ``product``, the new ``node``, rounded."""
        if last is not node:
            product = self._editor.repeat(last, product, *last.args[1:])
        codes = self._editor.call(last, self._ops.quantize_per_tensor.default, product, *steps, *_CODES, like=node)
        wide = self._editor.call(last, self._ops.dequantize_per_tensor.default, codes, *steps, *_CODES, like=node)
        self._codes[wide] = (codes, *steps)
        self._editor.replace(last, wide)

    def _product(self, node: Node, read: Node, weight: Tensor, axis: int, scales: Tensor) -> Node:
        """The layer ``node`` on ``read``, with its weights in int8 and a bias of its own."""
        shape = [-1 if other == axis else 1 for other in range(weight.dim())]
        codes = (weight / scales.to(weight.dtype).reshape(shape)).round().clamp(*_WEIGHT_CODES[:2]).to(torch.int8)
        bias = self._bias(node)
        if axis and node.target in _PRODUCTS:
            codes, axis = codes.t(), 0
        add = self._editor.add_constant
        zeros = add(torch.zeros(len(scales), dtype=torch.int64), node, "zero_points")
        wide = self._editor.call(
            node, self._ops.dequantize_per_channel.default,
            add(codes, node, "codes"), add(scales, node, "scales"), zeros, axis, *_WEIGHT_CODES,
        )  # fmt: skip
        own = None if bias is None else add(bias.clone(), node, "bias")
        if node.target in _PRODUCTS:
            return self._editor.call(node, aten.linear.default, read, wide, own)
        return self._editor.repeat(node, read, wide, own, *node.args[3:])

    def _bias(self, node: Node) -> Tensor | None:
        spelled = node.args[0] if node.target is aten.addmm.default else argument(node, 2, "bias")
        return self._editor.constant(spelled)


def _limits(clamp: Node) -> tuple[float, float]:
    low, high = (float(str(argument(clamp, place, "", default))) for place, default in ((1, -1), (2, 1)))
    return low, high


def _output_steps(found: Range, least: float) -> tuple[float, int]:
    """Scale and zero point, in signed codes, of a range that is widened where its scale would be below ``least``."""
    scale, zero = activation_scale(found)
    if scale < least:
        low = min(found.low, 0.0)
        scale, zero = activation_scale(Range(low, low + least * ACTIVATION_STEPS))
    return scale, zero - _ZERO
