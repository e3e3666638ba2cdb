"""Weights in half precision: float16 in the file, widened when a runtime loads it, to compute in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

MIN_ELEMENTS = 128
"""A call of Cast with its names takes some 150 bytes of a file; 128 elements save 256."""
MOST_LOST = 2.0**-10
"""Of a tensor's norm: twice what rounding to float16's 11 bits loses; more is lost only outside of its range."""


def halve(model: onnx.ModelProto) -> None:
    """Store every constant matrix, kernel or table in float16 and widen it by ``Cast``, which runtimes do on loading.

    Vectors stay: they are few, and variances and epsilons among them may be too small for float16. So do constants
    that lose more than rounding, such as masks of -3e38.

    Args:
        model: Edited in place; its constants are initializers.
    """
    import onnx

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        if values.size < MIN_ELEMENTS or not _holds(values):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _holds(values: NDArray[np.float32]) -> bool:
    """Whether float16 loses no more of ``values`` than its rounding."""
    with np.errstate(over="ignore", invalid="ignore"):
        lost = values.astype(np.float16).astype(np.float64) - values
    return bool(np.linalg.norm(lost) <= MOST_LOST * np.linalg.norm(values.astype(np.float64)))
