"""Versions by types: the rows are those of the documents of TensorFlow Lite's operators, written down by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from export.formats.tflite_file.operator_versions import version_of

TYPES = {"float": 0, "half": 1, "int32": 2, "int8": 9}


@dataclass
class Tensor:
    type: int
    shape: tuple[int, ...] = (1, 4, 4, 8)
    scales: int = 0
    quantization: object = field(init=False)

    def __post_init__(self) -> None:
        self.quantization = SimpleNamespace(scale=[0.1] * self.scales) if self.scales else None


def version(name: str, types: str, *, scales: int = 8, bias: bool = True, keep: bool = False, depth: int = 8) -> object:
    """Of an operator with ``types`` of input, weights and output; ``depth`` is that of the weights."""
    read, held, made = types.split()
    tensors = [Tensor(TYPES[read]), Tensor(TYPES[held], (8, 1, 1, depth), scales), Tensor(TYPES[made])]
    inputs = [0, 1]
    if bias:
        tensors.insert(2, Tensor(TYPES["int32"]))
        inputs.append(2)
    operator = SimpleNamespace(
        inputs=inputs, outputs=[len(tensors) - 1], builtinOptions=SimpleNamespace(keepNumDims=keep)
    )
    return version_of(name, operator, SimpleNamespace(tensors=tensors))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "types", "options", "expected"),
    [
        ("FULLY_CONNECTED", "float float float", {}, None),
        ("FULLY_CONNECTED", "float int8 float", {}, 12),
        ("FULLY_CONNECTED", "float int8 float", {"scales": 1}, 3),
        ("FULLY_CONNECTED", "float int8 float", {"scales": 1, "keep": True}, 5),
        ("FULLY_CONNECTED", "int8 int8 int8", {}, 4),
        ("FULLY_CONNECTED", "int8 int8 int8", {"keep": True}, 5),
        ("FULLY_CONNECTED", "int8 int8 int8", {"bias": False}, 6),
        ("CONV_2D", "float int8 float", {}, 5),
        ("CONV_2D", "float int8 float", {"scales": 1}, 2),
        ("CONV_2D", "int8 int8 int8", {}, 3),
        ("CONV_2D", "int8 int8 int8", {"depth": 2}, 6),
        ("DEPTHWISE_CONV_2D", "float int8 float", {}, 6),
        ("DEPTHWISE_CONV_2D", "int8 int8 int8", {}, 3),
        ("BATCH_MATMUL", "int8 int8 int8", {"bias": False}, 2),
        ("ADD", "float float float", {}, None),
    ],
)
def test_the_version_that_an_operator_needs(name: str, types: str, options: dict[str, int], expected: object) -> None:
    assert version(name, types, **options) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "tensors", "expected"),
    [
        ("QUANTIZE", [Tensor(0), Tensor(9, scales=1)], 1),
        ("DEQUANTIZE", [Tensor(9, scales=1), Tensor(0)], 2),
        ("DEQUANTIZE", [Tensor(9, scales=8), Tensor(0)], 5),
        ("DEQUANTIZE", [Tensor(1), Tensor(0)], 3),
    ],
)
def test_the_version_between_types(name: str, tensors: list[Tensor], expected: int) -> None:
    operator = SimpleNamespace(inputs=[0], outputs=[1])
    assert version_of(name, operator, SimpleNamespace(tensors=tensors)) == expected  # type: ignore[arg-type]
