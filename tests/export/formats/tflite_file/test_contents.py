"""The parser of ``.tflite`` files on damaged bytes."""

from __future__ import annotations

import random

from ai_edge_litert import schema_py_generated as schema
from mobile_artifacts import small

from export.formats.flatbuffer import FlatbufferError
from export.formats.tflite_file.contents import parse, parse_bytes
from export.formats.tflite_file.versions import operator_table
from export.recipe import Format


def test_flipped_bits_never_escape_the_reader() -> None:
    data = small(Format.TFLITE).path.read_bytes()
    generator, refused = random.Random(1), 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(4):
            damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        try:
            parse_bytes(bytes(damaged))
        except FlatbufferError:
            refused += 1
    assert refused > 10


def test_the_parser_agrees_with_the_schema_that_litert_ships() -> None:
    path = small(Format.TFLITE).path
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (graph,), (seen,) = model.subgraphs, parse(path).graphs
    codes = [code.builtinCode for code in model.operatorCodes]
    table = operator_table().operators
    assert [(table[operator.name].code, operator.inputs, operator.outputs) for operator in seen.operators] == [
        (codes[operator.opcodeIndex], tuple(operator.inputs), tuple(operator.outputs)) for operator in graph.operators
    ]
    held = [model.buffers[tensor.buffer].data is not None for tensor in graph.tensors]
    assert [tensor.constant for tensor in seen.tensors] == held
    named = [(tensor.name.decode(), tuple(tensor.shape)) for tensor in graph.tensors]
    assert [(tensor.name, tensor.shape) for tensor in seen.tensors] == named
    stored = {entry.name.decode(): bytes(model.buffers[entry.buffer].data) for entry in model.metadata}
    assert parse(path).metadata == stored
