"""Small edits of ONNX graphs after simplification: constants, shapes, names that tell the network's module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edgevit.spec import TensorSpec

if TYPE_CHECKING:
    import onnx


def constants_to_initializers(model: onnx.ModelProto) -> None:
    """Turn Constant nodes into initializers; equal ones become one."""
    import onnx

    known = {_content(tensor): tensor.name for tensor in model.graph.initializer}
    renames: dict[str, str] = {}
    kept = []
    outputs = {value.name for value in model.graph.output}
    for node in model.graph.node:
        value = next((entry.t for entry in node.attribute if entry.name == "value"), None)
        if node.op_type != "Constant" or value is None or node.output[0] in outputs:
            kept.append(node)
            continue
        tensor = onnx.TensorProto()
        tensor.CopyFrom(value)
        tensor.name = node.output[0]
        renames[tensor.name] = known.setdefault(_content(tensor), tensor.name)
        if renames[tensor.name] == tensor.name:
            model.graph.initializer.append(tensor)
    for node in kept:
        node.input[:] = [renames.get(name, name) for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _content(tensor: onnx.TensorProto) -> bytes:
    import onnx

    nameless = onnx.TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    return bytes(nameless.SerializeToString(deterministic=True))


def state_output_shapes(model: onnx.ModelProto, outputs: Sequence[TensorSpec], batch: str) -> None:
    """Write the sizes of outputs that the exporter did not find out, as behind a resize or scatter of a free batch.

    A size that stands there stays, right or wrong: the file is compared with what was asked for.

    Args:
        model: Edited in place.
        outputs: Those of ``model``, in their order; -1 for the batch.
        batch: The name of the batch.
    """
    for value, tensor in zip(model.graph.output, outputs, strict=True):
        is_known = value.type.tensor_type.HasField("shape")
        shape = value.type.tensor_type.shape
        if not is_known:
            for _ in tensor.shape:
                shape.dim.add()
        if len(shape.dim) != len(tensor.shape):
            continue
        for axis, size in zip(shape.dim, tensor.shape, strict=True):
            if axis.HasField("dim_value"):
                continue
            if size < 0:
                axis.dim_param = batch
            else:
                axis.dim_value = size


def weight_paths(model: onnx.ModelProto) -> dict[str, str]:
    """For each initializer that one step alone reads, the path of that step; taken before simplification."""
    constants = {tensor.name for tensor in model.graph.initializer}
    readers: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in constants.intersection(node.input):
            readers.setdefault(name, set()).add(_path(node.name))
    return {name: paths.pop() for name, paths in readers.items() if len(paths) == 1}


def name_by_module(model: onnx.ModelProto, weights: dict[str, str]) -> None:
    """Give every node a unique name that tells its module.

    Nodes that the simplifier made (``Gemm_12``, with reshapes around it) take their path from their weights, or else
    from the tensor that they lead to: they stand for nodes before the first tensor that has kept its name.

    Args:
        model: Edited in place.
        weights: The answer of ``weight_paths`` before simplification.
    """
    taken: set[str] = set()
    paths: dict[str, str] = {}  # tensor -> path of the first step that reads it
    for node in reversed(model.graph.node):
        own = _path(node.name) or _first(weights.get(name, "") for name in node.input)
        led_to = _first(paths.get(name, "") for name in node.output)
        path = own or _first(_path(name) for name in node.output) or led_to
        paths.update(dict.fromkeys(node.input, path))
        node.name = _unique(f"{path}/{node.op_type}" if path else node.op_type, taken)


def _path(name: str) -> str:
    """``/a/b/softmax`` of ``/a/b/softmax/Softmax``, and of a tensor ``/a/b/softmax/Softmax_output_0``."""
    return name.rpartition("/")[0] if name.startswith("/") else ""


def _first(texts: Iterator[str]) -> str:
    return next((text for text in texts if text), "")


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    taken.add(candidate)
    return candidate
