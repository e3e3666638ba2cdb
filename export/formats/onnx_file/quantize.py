"""Int8 layers of ONNX's own operators, from a plan: each node that computes a layer becomes a few that do in int8.

- dynamic: ``DynamicQuantizeLinear`` -> ``MatMulInteger`` -> ``Cast``, times the scales, plus the bias. ONNX Runtime
  makes one call of it.
- static: ``QuantizeLinear`` -> ``DequantizeLinear`` in front of a float product, which ONNX Runtime takes in int8; of
  a convolution behind it too, in the place of an activation that cuts off.
- weights: int8 weights, ``Cast`` and times their scales, which runtimes compute when they load the file.

Activations are uint8 with a zero point, weights int8 without one and with a scale for each of their outputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgevit.errors import ExportError
from export.formats.onnx_file.int8_values import along, rounded, rounded_bias, scales_of, uint8_scale, wide_enough
from export.formats.onnx_file.layers import PRODUCTS, nodes_of_layers
from export.int8.plan import Quantization
from export.int8.record import LayerKind, LayerRecord, Scheme
from export.program import Program
from export.quantization.clamps import clamp_behind, cut_range

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray
    from torch.fx import Node

    Floats = NDArray[np.float32]
    Attribute = int | tuple[int, ...]

_FLOAT = 1  # TensorProto.DataType
_BIAS = 2  # the place among a Gemm's inputs
_SEVERAL = 2
_CLAMPS = frozenset({"Relu", "Clip"})


def quantize(model: onnx.ModelProto, program: Program) -> None:
    """Compute each layer of ``program`` as its plan says; edits ``model`` in place.

    Args:
        model: Named by ``graph.name_by_module``, its constants are initializers.
        program: With its plan.

    Raises:
        ExportError: A layer has no node of its own, or one that has no form for its scheme.
    """
    assert program.quantization is not None
    layers = nodes_of_layers(model, program)
    writer = _Writer(model, program.quantization, {call.name: call for call in program.module.graph.nodes})
    for node in model.graph.node:
        if (layer := layers.get(node.name)) is not None:
            writer.layer(node, layer)
        elif node.name not in writer.cut_off:
            writer.nodes.append(node)
    writer.finish()


class _Writer:
    """Builds the new nodes in order."""

    def __init__(self, model: onnx.ModelProto, plan: Quantization, calls: Mapping[str, Node]) -> None:
        self.model, self.plan, self.calls = model, plan, calls
        self.readers = Counter(name for node in model.graph.node for name in node.input)
        self.clamps = {node.input[0]: node for node in model.graph.node if node.op_type in _CLAMPS}
        self.cut_off: set[str] = set()  # names of clamps whose work a rounding does
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.products: set[str] = set()  # of static layers without their bias
        self.quantized: dict[tuple[str, tuple[float, int] | None], list[str]] = {}  # by tensor, scale and zero point
        self.stored: dict[tuple[str, tuple[int, ...], bytes], str] = {}  # by type, shape and bytes

    def layer(self, node: onnx.NodeProto, layer: LayerRecord) -> None:
        """Write the nodes that compute ``node`` by the scheme of ``layer``."""
        kinds: dict[tuple[Scheme, bool], Callable[[onnx.NodeProto, LayerRecord], None]] = {
            (Scheme.WEIGHTS, True): self._weights,
            (Scheme.WEIGHTS, False): self._weights,
            (Scheme.DYNAMIC, True): self._dynamic,
            (Scheme.STATIC, True): self._static,
            (Scheme.STATIC, False): self._static_convolution,
        }
        write = kinds.get((layer.scheme, node.op_type in PRODUCTS))
        if write is None or (layer.scheme is Scheme.STATIC and layer.kind is LayerKind.TRANSPOSED):
            raise ExportError(f"{layer.module or layer.name}: ONNX has no {layer.scheme} int8 form of {node.op_type}")
        write(node, layer)

    def finish(self) -> None:
        """Put the nodes into the model, and leave out what is told of tensors that are gone."""
        graph = self.model.graph
        for index, node in reversed(list(enumerate(self.nodes))):
            if node.op_type == "Add" and not self.products.isdisjoint(node.input):
                self.nodes[index : index + 1] = self._subtracted(node)
        read = {value.name for value in graph.output}
        for node in reversed(self.nodes):  # a convolution's output may have readers in int8 alone
            read.update(node.input if not read.isdisjoint(node.output) else ())
        self.nodes = [node for node in self.nodes if not read.isdisjoint(node.output)]
        del graph.node[:]
        graph.node.extend(self.nodes)
        known = [tensor for name, tensor in self.constants.items() if name in read]
        told = [value for value in graph.value_info if value.name in read]
        del graph.initializer[:], graph.value_info[:]
        graph.initializer.extend(known)
        graph.value_info.extend(told)

    def _subtracted(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The sum of a product and a bias as a difference, which ONNX Runtime does not make a float Gemm of."""
        import onnx

        product, bias = sorted(node.input, key=lambda name: name not in self.products)
        name = f"{node.name}_negative"
        negative = onnx.helper.make_node("Neg", [bias], [name], name=name)
        less = onnx.helper.make_node("Sub", [product, name], list(node.output), name=node.name.replace("Add", "Sub"))
        return [negative, less]

    def _weights(self, node: onnx.NodeProto, layer: LayerRecord) -> None:
        """Only the weights in int8: they are float32 again before anything is computed."""
        weights, axis = self._values(node.input[1]), _axis_of_outputs(node, self._values(node.input[1]))
        scales = scales_of(weights, axis)
        stored = self._constant(node, "weight_int8", rounded(weights, scales, axis))
        wide = self._call("Cast", [stored], node, "weight_steps", to=_FLOAT)
        steps = self._constant(node, "weight_scale", along(scales, axis, weights.ndim))
        node.input[1] = self._call("Mul", [wide, steps], node, "weight")
        self.nodes.append(node)

    def _dynamic(self, node: onnx.NodeProto, layer: LayerRecord) -> None:
        """A product whose activation is rounded by its own range in every call."""
        source, matrix, bias = self._operands(node)
        axis = _columns(matrix)
        scales = scales_of(matrix, axis)
        stored = self._constant(node, "weight_int8", rounded(matrix, scales, axis))
        key = source, None
        if key not in self.quantized:
            self.quantized[key] = [_tensor(node, f"input_{part}") for part in ("uint8", "scale", "zero")]
            self._emit("DynamicQuantizeLinear", [source], self.quantized[key], node)
        values, scale, zero = self.quantized[key]
        summed = self._call("MatMulInteger", [values, stored, zero], node, "product_int32")
        steps = self._call("Cast", [summed], node, "product_steps", to=_FLOAT)
        both = self._call("Mul", [scale, self._constant(node, "weight_scale", scales)], node, "product_scale")
        self._with_bias("Mul", [steps, both], node, bias)

    def _static(self, node: onnx.NodeProto, layer: LayerRecord) -> None:
        """The product itself, behind roundings that a runtime takes into it.

        Where several read it the bias stays apart: the rounding of a later layer is then no longer right behind a Gemm,
        which ONNX Runtime would leave float for having another reader besides.
        """
        source, matrix, bias = self._operands(node)
        axis, (scale, zero) = _columns(matrix), uint8_scale(self.plan.inputs[layer.name])
        scales = scales_of(matrix, axis)
        added = self._values(bias).reshape(-1) if bias in self.constants else np.zeros(0, np.float32)
        is_inside = node.op_type == "Gemm" and added.shape == scales.shape and self.readers[node.output[0]] < _SEVERAL
        if is_inside:
            scales = wide_enough(scales, scale, added)
        activation = self._rounded(source, scale, zero, node)
        weights = self._dequantized(node, "weight", rounded(matrix, scales, axis), scales, axis)
        if is_inside:
            inner = self._dequantized(node, "bias", rounded_bias(added, scales * scale), scales * scale, 0)
            self._emit("Gemm", [activation, weights, inner], list(node.output), node)
        else:
            self._with_bias("MatMul", [activation, weights], node, bias)
            self.products.add(self.nodes[-2 if bias else -1].output[0])

    def _static_convolution(self, node: onnx.NodeProto, layer: LayerRecord) -> None:
        """The convolution between roundings; that of its output cuts off as an activation behind it would."""
        scale, zero = uint8_scale(self.plan.inputs[layer.name])
        kernel, biases = self._values(node.input[1]), list(node.input[_BIAS:])
        scales = scales_of(kernel, 0)
        if not self.constants.keys() >= {*biases}:
            raise ExportError(f"{layer.module or layer.name}: its bias is computed", hint="--keep-float leaves it out")
        for bias in biases:
            scales = wide_enough(scales, scale, self._values(bias))
        read = [self._rounded(node.input[0], scale, zero, node)]
        read += [self._dequantized(node, "weight", rounded(kernel, scales, 0), scales, 0)]
        for bias in biases:
            steps = scales * scale
            read += [self._dequantized(node, "bias", rounded_bias(self._values(bias), steps), steps, 0)]
        product = _tensor(node, "product")
        self._emit("Conv", read, [product], node)
        self.nodes[-1].attribute.extend(node.attribute)
        shown = cut_range(self.calls[layer.name], self.plan.outputs[layer.name])
        self._round_output(product, self._without_clamp(node, layer), *uint8_scale(shown), node)

    def _without_clamp(self, node: onnx.NodeProto, layer: LayerRecord) -> str:
        """The tensor that a rounding of what ``node`` gives makes: behind the activation that it stands in for."""
        given = str(node.output[0])
        clamp = self.clamps.get(given)
        if clamp is None or clamp_behind(self.calls[layer.name]) is None or self.readers[given] >= _SEVERAL:
            return given
        self.cut_off.add(clamp.name)
        return str(clamp.output[0])

    def _round_output(self, product: str, given: str, scale: np.float32, zero: np.uint8, node: onnx.NodeProto) -> None:
        """``given`` from ``product``, in steps of a fixed scale; later layers with the same steps read it in int8."""
        how = [self._constant(node, "output_scale", scale), self._constant(node, "output_zero", zero)]
        values = self._call("QuantizeLinear", [product, *how], node, "output_uint8")
        self.quantized[given, (float(scale), int(zero))] = [values, *how]
        self._emit("DequantizeLinear", [values, *how], [given], node)

    def _operands(self, node: onnx.NodeProto) -> tuple[str, Floats, str]:
        """Of ``source @ matrix + bias``; no bias is ""."""
        factors = {entry.name: entry.f if entry.type == entry.FLOAT else entry.i for entry in node.attribute}
        source, matrix = node.input[0], self._values(node.input[1])
        bias = node.input[2] if len(node.input) > _BIAS else ""
        if factors.get("transA"):
            source = self._call("Transpose", [source], node, "input_turned", perm=(1, 0))
        if factors.get("transB"):
            matrix = matrix.T
        if bias and (beta := factors.get("beta", 1)) != 1:
            bias = self._call("Mul", [bias, self._constant(node, "beta", np.float32(beta))], node, "bias_scaled")
        return source, matrix * np.float32(factors.get("alpha", 1)), bias

    def _rounded(self, source: str, scale: np.float32, zero: np.uint8, node: onnx.NodeProto) -> str:
        """``source`` in steps of a fixed scale, and float32 again."""
        key = source, (float(scale), int(zero))
        if key not in self.quantized:
            how = [self._constant(node, "input_scale", scale), self._constant(node, "input_zero", zero)]
            values = self._call("QuantizeLinear", [source, *how], node, "input_uint8")
            self.quantized[key] = [values, *how]
        return self._call("DequantizeLinear", self.quantized[key], node, "input")

    def _dequantized(
        self, node: onnx.NodeProto, what: str, values: NDArray[np.generic], scales: Floats, axis: int | None
    ) -> str:
        """Stored ``values`` times ``scales``; ONNX Runtime wants the zeros in front of it said."""
        parts = {"int8": values, "scale": scales, "zero": np.zeros_like(scales, values.dtype)}
        stored = [self._constant(node, f"{what}_{part}", held) for part, held in parts.items()]
        along_axis: dict[str, Attribute] = {} if axis is None else {"axis": axis % values.ndim}
        return self._call("DequantizeLinear", stored, node, what, **along_axis)

    def _with_bias(self, operator: str, inputs: list[str], node: onnx.NodeProto, bias: str) -> None:
        """The call that gives what ``node`` gave, or gives it without the bias, which is then added."""
        if not bias:
            self._emit(operator, inputs, list(node.output), node)
        else:
            product = self._call(operator, inputs, node, "product")
            self._emit("Add", [product, bias], list(node.output), node)

    def _call(self, operator: str, inputs: list[str], node: onnx.NodeProto, what: str, **attributes: Attribute) -> str:
        """A call whose output is called after ``what`` it is of the layer."""
        name = _tensor(node, what)
        self._emit(operator, inputs, [name], node, **attributes)
        return name

    def _emit(
        self, operator: str, inputs: list[str], outputs: list[str], node: onnx.NodeProto, **attributes: Attribute
    ) -> None:
        import onnx

        made = onnx.helper.make_node(operator, inputs, outputs)
        made.name = f"{_path(node)}/{operator}_{outputs[0].rpartition('/')[2]}"
        made.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(made)

    def _values(self, name: str) -> Floats:
        import onnx

        found: Floats = onnx.numpy_helper.to_array(self.constants[name])
        return found

    def _constant(self, node: onnx.NodeProto, what: str, values: NDArray[np.generic] | np.generic) -> str:
        import onnx

        stored = np.ascontiguousarray(values).reshape(np.shape(values))
        key = stored.dtype.str, stored.shape, stored.tobytes()
        name = self.stored.setdefault(key, _tensor(node, what))
        if name not in self.constants:
            self.constants[name] = onnx.numpy_helper.from_array(stored, name)
        return name


def _path(node: onnx.NodeProto) -> str:
    return node.name.rpartition("/")[0]


def _tensor(node: onnx.NodeProto, what: str) -> str:
    return f"{_path(node)}/{what}"


def _columns(matrix: Floats) -> int | None:
    """The axis of a product's outputs in its constant operand."""
    return None if matrix.ndim == 1 else matrix.ndim - 1


def _axis_of_outputs(node: onnx.NodeProto, weights: Floats) -> int | None:
    """The axis of a node's outputs in its weights."""
    if node.op_type == "Gemm" and any(entry.name == "transB" and entry.i for entry in node.attribute):
        return 0
    return {"Conv": 0, "ConvTranspose": 1}.get(node.op_type, _columns(weights))
