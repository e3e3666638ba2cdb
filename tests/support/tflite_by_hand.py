"""TFLite files of one or two operators, put together from the schema that LiteRT ships."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

Operator = tuple[int | str, list[int], list[int]]
"""Code, or the name of an operator of one's own; indices of the tensors it takes and gives."""
Names = Sequence[tuple[str, int]]
"""Names of a signature, and the indices of their tensors."""


def tensor(name: str, shape: Sequence[int], kind: int, *, scale: float = 0.0, zero_point: int = 0) -> schema.TensorT:
    """A tensor without data; -1 in ``shape`` is a free axis, of which files keep the size 1."""
    made = schema.TensorT()
    made.name, made.type, made.buffer = name, kind, 0
    made.shape = [max(size, 1) for size in shape]
    if -1 in shape:
        made.shapeSignature, made.hasRank = list(shape), True
    if scale:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
    return made


def signature(key: str, inputs: Names, outputs: Names) -> schema.SignatureDefT:
    """A signature on the only subgraph."""
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = key, 0
    made.inputs, made.outputs = [_named(*each) for each in inputs], [_named(*each) for each in outputs]
    return made


def write_model(
    path: Path,
    tensors: Sequence[schema.TensorT],
    operators: Sequence[Operator],
    inputs: Sequence[int],
    outputs: Sequence[int],
    signatures: Sequence[schema.SignatureDefT] = (),
) -> Path:
    """Write a model of one subgraph; its inputs and outputs are indices of ``tensors``."""
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.name, graph.tensors, graph.inputs, graph.outputs = "main", list(tensors), list(inputs), list(outputs)
    graph.operators = [_operator(index, *each) for index, each in enumerate(operators)]
    model.version, model.description, model.buffers = 3, "by hand", [schema.BufferT()]
    model.subgraphs, model.operatorCodes = [graph], [_code(code) for code, _, _ in operators]
    model.signatureDefs = list(signatures)
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def _named(name: str, index: int) -> schema.TensorMapT:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, index
    return made


def _code(code: int | str) -> schema.OperatorCodeT:
    made = schema.OperatorCodeT()
    made.builtinCode = schema.BuiltinOperator.CUSTOM if isinstance(code, str) else code
    made.deprecatedBuiltinCode = made.builtinCode  # all that are used here are below 127
    made.customCode = code if isinstance(code, str) else None
    made.version = 2 if code == schema.BuiltinOperator.DEQUANTIZE else 1  # the first that takes int8
    return made


def _operator(index: int, code: int | str, inputs: list[int], outputs: list[int]) -> schema.OperatorT:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = index, inputs, outputs
    if code == schema.BuiltinOperator.ADD:
        made.builtinOptionsType, made.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    return made
