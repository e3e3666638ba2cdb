"""What an ``.onnx`` file says of its model outside of its metadata: the graph's name and the model's description."""

from __future__ import annotations

from edgevit.spec import ModelSpec, TensorSpec

GRAPH, DESCRIPTION = "graph", "description"


def own_metadata(spec: ModelSpec, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> dict[str, str]:
    """The texts by the keys under which ``read`` finds them; tensors stand in the graph itself."""
    return {GRAPH: spec.name, DESCRIPTION: f"{spec.name}; weights: {spec.weights.describe()}"}
