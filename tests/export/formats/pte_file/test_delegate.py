"""What the reader finds in the data of the XNNPACK delegate."""

from __future__ import annotations

import re
import struct
from importlib.resources import files
from pathlib import Path

import pytest
from mobile_artifacts import edgevit, small

from edgevit.errors import ArtifactError
from edgevit.spec import Task
from export.formats import flatbuffer
from export.formats.flatbuffer import Table
from export.formats.pte_file import delegate
from export.formats.pte_file.contents import parse, parse_bytes
from export.formats.pte_file.delegate import XNODES, Product
from export.formats.pte_file.read import read
from export.recipe import Format


def schema() -> str:
    return files("executorch.backends.xnnpack.serialization").joinpath("schema.fbs").read_text()


def test_node_names_are_those_of_the_xnnpack_schema() -> None:
    union = re.search(r"union XNodeUnion \{(.*?)\}", schema(), re.DOTALL)
    assert union is not None
    assert tuple(re.findall(r"XNN(\w+)(?:: \w+)?,", union.group(1))) == XNODES


def test_datatypes_are_those_of_the_xnnpack_schema() -> None:
    names = dict(map(reversed, re.findall(r"xnn_datatype_(\w+) = (\d+)", schema())))
    words = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "quint8": "uint8"}
    for code, dtype in delegate.DATATYPES.items():
        name = names[str(code)]
        assert dtype == words.get(name, re.sub(r"^q?[cb]?int", "int", name))
    assert names["9"] == "qdint8"


def test_constants_of_edgevit_are_its_weights() -> None:
    built = edgevit(Format.PTE, Task.CLASSIFY)
    held = dict(built.program.module.named_buffers())
    held |= dict(built.program.module.named_parameters())
    elements = sum(tensor.numel() for tensor in held.values() if tensor.numel() > 1)
    found = read(built.path).weights
    assert set(found) == {"float32"}
    assert elements <= found["float32"] <= 1.01 * elements  # XNNPACK may hold a constant twice, for two layouts


def test_products_of_a_float_file() -> None:
    assert dict(parse(small(Format.PTE).path).products) == {
        Product(name, "float32", "float32"): 1 for name in ("Conv2d", "DepthwiseConv2d", "FullyConnected")
    }


def graph(data: bytearray) -> tuple[int, Table]:
    """Where the graph of the first delegate stands in the file, and the graph."""
    header = data.index(b"XH00") - 4
    start, length = struct.unpack_from("<II", data, header + 10)
    held = bytes(data[header + start : header + start + length])
    return header + start, flatbuffer.root(held, held[4:8])


def tensors(found: Table) -> list[Table]:
    return [tensor for value in found.tables(2) if (tensor := value.table(1)) is not None]


def test_a_constant_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(small(Format.PTE).path.read_bytes())
    start, found = graph(data)
    constant = next(tensor for tensor in tensors(found) if tensor.scalar(3, "I"))
    place, _ = constant._vector(2, 4)
    struct.pack_into("<I", data, start + place, 2**31)
    (tmp_path / "m.pte").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"a constant of \d+ elements of float32 is in a file of"):
        read(tmp_path / "m.pte")


def test_a_layer_of_no_value_is_refused() -> None:
    data = bytearray(small(Format.PTE).path.read_bytes())
    start, found = graph(data)
    layer = next(node.table(1) for node in found.tables(1) if XNODES[node.scalar(0, "B") - 1] == "Conv2d")
    assert layer is not None
    place = layer._place(16, 4)
    assert place is not None
    struct.pack_into("<I", data, start + place, 9999)
    with pytest.raises(flatbuffer.FlatbufferError, match=r"Conv2d reads values \[\d+, 9999\] of"):
        parse_bytes(bytes(data))
