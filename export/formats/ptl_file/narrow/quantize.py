"""Make layers of a program int8 as its ``Quantization`` says, in the calls of PyTorch Mobile.

A dynamic layer becomes ``quantized::linear_dynamic``. A static one stands between ``quantize_per_tensor`` and
``dequantize``; where only views lie between two of them, the second reads what the first gave. A layer of the scheme
``weights`` keeps its call and gets weights that int8 can hold, which are widened when the file is loaded (``widen``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.fx import Node

from edgevit.errors import ExportError
from export.formats.ptl_file.narrow.int8_call import CALL
from export.formats.ptl_file.narrow.quantized import Quantized
from export.formats.ptl_file.narrow.widen import Int8
from export.functional.aliases import writes
from export.graph_editor import GraphEditor
from export.int8.plan import Quantization, Range
from export.int8.record import LayerKind, LayerRecord, Scheme
from export.patterns import argument, aten, inherit, is_call, operand, value_of, window_of
from export.quantization.clamps import clamp_behind, cut_range
from export.quantization.layers import activation_of
from export.quantization.numbers import WEIGHT_STEPS, activation_scale, weight_scales

_MOST_BIAS = 2.0**30
"""A bias is added as int32 in units of both scales: a channel's scale is at least what that takes."""
_VIEWS = (
    aten.reshape.default, aten.permute.default, aten.view.default, aten.transpose.int, aten.flatten.using_ints,
    aten.unsqueeze.default,
)  # fmt: skip
"""What only shows a tensor otherwise, quantised ones too."""


@dataclass(frozen=True)
class _Quantised:
    """A tensor of uint8 in the graph."""

    node: Node
    scale: float
    zero_point: int


@dataclass
class Rewriting:
    """A program whose layers become int8.

    Attributes:
        editor: Its graph.
        plan: What is asked for.
        stored: The weights that are widened when the file is loaded, by the SHA-256 of their float32 bytes.
    """

    editor: GraphEditor
    plan: Quantization
    stored: dict[str, Int8] = field(default_factory=dict)
    _known: dict[Node, _Quantised] = field(default_factory=dict)
    _shares: bool = True

    def run(self) -> None:
        """Rewrite every layer of the plan.

        Raises:
            ExportError: Names a layer that PyTorch Mobile has no int8 form of.
        """
        self._shares = not any(writes(node.target) for node in self.editor.nodes())
        left = {name: layer for name, layer in self.plan.layers.items() if layer.scheme is not Scheme.FLOAT}
        for node in self.editor.nodes():
            if (layer := left.pop(node.name, None)) is not None:
                _SCHEMES[layer.scheme](self, node, layer)
        if left:
            raise ExportError(f"layers that are to be int8 are not in the graph: {', '.join(left)}")

    def static(self, node: Node, layer: LayerRecord) -> None:
        """Make ``node`` an int8 product with the ranges of the calibration."""
        source = self._quantised(node, activation_of(node), self.plan.inputs[node.name])
        clamp = clamp_behind(node)
        scale, zero_point = activation_scale(cut_range(node, self.plan.outputs[node.name]))
        found = _spelled(node, layer, scale, zero_point)
        weight, bias = _weights(self.editor, node, layer)
        values, scales = narrowed(weight, bias=bias, activation=source.scale)
        call = self._call(node, CALL, source.node, *self._constants(node, values, scales, bias), found.to_json())
        wide = self._call(node, aten.dequantize.self, call)
        self._known[wide] = _Quantised(call, scale, zero_point)
        self.editor.replace(node, wide)
        if clamp is not None:
            self.editor.replace(clamp, operand(clamp))

    def dynamic(self, node: Node, layer: LayerRecord) -> None:
        """Make ``node`` an int8 product that takes the range of its activation in every call."""
        if layer.kind is not LayerKind.LINEAR:
            raise ExportError(
                f"{_named(layer)} cannot be int8 with dynamic ranges: PyTorch Mobile has only linear layers"
            )
        weight, bias = _weights(self.editor, node, layer)
        values, scales = narrowed(weight)
        text = Quantized(kind="linear_dynamic").to_json()
        self.editor.replace(
            node, self._call(node, CALL, activation_of(node), *self._constants(node, values, scales, bias), text)
        )

    def weights(self, node: Node, layer: LayerRecord) -> None:
        """Give ``node`` weights that int8 holds."""
        place = 2 if node.target is aten.addmm.default else 1
        weight = self.editor.constant(node.args[place])
        assert weight is not None
        axis = _channels(node, layer)
        values, scales = narrowed(weight, axis=axis)
        shape = [-1 if other == axis else 1 for other in range(weight.dim())]
        constant = self.editor.add_constant(values.float() * scales.reshape(shape), node, "weight")
        held = self.editor.constant(constant)
        assert held is not None
        digest = hashlib.sha256(held.numpy().tobytes()).hexdigest()
        self.stored[digest] = Int8(values.contiguous().numpy(), scales.numpy(), axis)
        node.update_arg(place, constant)

    def _quantised(self, at: Node, source: Node, shown: Range) -> _Quantised:
        """``source`` as uint8, taken where it was made, and seen through the views behind that."""
        if source in self._known:
            return self._known[source]
        if is_call(source, *_VIEWS) and self._shares:
            inner = self._quantised(at, operand(source), shown)
            node = self._call(at, source.target, inner.node, *source.args[1:], like=source)
            found = _Quantised(node, inner.scale, inner.zero_point)
        else:
            scale, zero_point = activation_scale(shown)
            node = self._call(
                at, aten.quantize_per_tensor.default, source, scale, zero_point, torch.quint8, like=source
            )
            found = _Quantised(node, scale, zero_point)
        if self._shares:
            self._known[source] = found
        return found

    def _constants(self, node: Node, *tensors: Tensor | None) -> list[Node | None]:
        names = ("values", "scales", "bias")
        return [
            None if tensor is None else self.editor.add_constant(tensor, node, name)
            for name, tensor in zip(names, tensors, strict=True)
        ]

    def _call(self, at: Node, target: object, *args: object, like: Node | None = None) -> Node:
        """A call whose shape is that of ``like`` (``at``); fake tensors know nothing of quantised ones."""
        with self.editor.graph.inserting_before(at):
            node = self.editor.graph.call_function(target, args)  # type: ignore[arg-type]
        node.meta["val"] = value_of(like or at)
        inherit(node, at)
        return node


_SCHEMES = {Scheme.STATIC: Rewriting.static, Scheme.DYNAMIC: Rewriting.dynamic, Scheme.WEIGHTS: Rewriting.weights}


def narrowed(
    weight: Tensor, *, axis: int = 0, bias: Tensor | None = None, activation: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Weights as int8 from -127 to 127, and their scales, one for each index of ``axis``; both contiguous.

    A ``bias`` is added in units of both scales, that of the weights and that of the ``activation``.
    """
    scales = weight_scales(weight, axis)
    if bias is not None:
        scales = scales.maximum(bias.abs().float() / (activation * _MOST_BIAS))
    shape = [-1 if other == axis else 1 for other in range(weight.dim())]
    values = (weight.detach().float() / scales.reshape(shape)).round().clamp(-WEIGHT_STEPS, WEIGHT_STEPS)
    return values.to(torch.int8).contiguous(), scales.contiguous()


def _weights(editor: GraphEditor, node: Node, layer: LayerRecord) -> tuple[Tensor, Tensor | None]:
    """Weight (out, in / groups, ...) and bias (out,) of a layer that becomes an int8 product."""
    places: Mapping[object, tuple[int, int | None]] = {
        aten.addmm.default: (2, 0), aten.mm.default: (1, None), aten.matmul.default: (1, None)
    }  # fmt: skip
    place, bias_place = places.get(node.target, (1, 2))
    weight = editor.constant(node.args[place])
    spelled = None if bias_place is None else argument(node, bias_place, "bias")
    bias = editor.constant(spelled)
    turned = node.target in places
    plain = weight is not None and (bias is None) == (spelled is None) and weight.dtype == torch.float32
    if not plain or weight is None or (turned and (weight.dim() != 2 or node.kwargs)):
        raise ExportError(f"{_named(layer)} cannot be int8: its weights are not those of a plain layer", hint=_HINT)
    return weight.t() if turned else weight, bias


_HINT = "leave it in float with --keep-float"


def _spelled(node: Node, layer: LayerRecord, scale: float, zero_point: int) -> Quantized:
    if layer.kind is LayerKind.LINEAR:
        return Quantized(kind="linear", scale=scale, zero_point=zero_point)
    if node.target is not aten.conv2d.default or value_of(operand(node)).dim() != 4:
        raise ExportError(f"{_named(layer)} cannot be int8: PyTorch Mobile has only convolutions of images", hint=_HINT)
    window = window_of(node)
    return Quantized(
        kind="conv2d",
        scale=scale,
        zero_point=zero_point,
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        groups=window.groups,
    )


def _channels(node: Node, layer: LayerRecord) -> int:
    """The axis of a layer's weights that has the channels of its result."""
    turned: Mapping[object, int] = {aten.addmm.default: -1, aten.mm.default: -1, aten.matmul.default: -1}
    weight = value_of(operand(node, 2 if node.target is aten.addmm.default else 1))
    axis = turned.get(node.target, 1 if layer.kind is LayerKind.TRANSPOSED else 0)
    return axis % weight.dim()


def _named(layer: LayerRecord) -> str:
    return f"{layer.module or layer.name} ({layer.kind})"
