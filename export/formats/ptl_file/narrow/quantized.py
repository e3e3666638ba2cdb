"""``Quantized``: a layer in int8, as it stands in the graph until ``ptl_file.pack`` puts torch's own into the file.

The operators ``quantized::linear`` and its like take their weights as an object of a class in C++ whose contents depend
on the engine of the torch that makes it. What is stored of it does not: the weights as a quantised tensor and the bias.
So the graph calls an operator of ours with plain tensors and a text, and the writer spells the stored object itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgevit.records import Record
from export.formats.ptl_file.prepacked import NAMESPACE

NAME = "quantized"
OPERATOR = f"{NAMESPACE}::{NAME}"
SCHEMA = f"{NAME}(Tensor x, Tensor weight, Tensor scales, Tensor? bias, str layer) -> Tensor"
Kind = Literal["linear_dynamic", "linear", "conv2d"]
CONV_VERSION = "2"
"""Of the stored form of a convolution: PyTorch 1.7 and all later releases read it."""


class Quantized(Record):
    """What the operator computes besides its tensors; the text ``layer`` is this record as JSON.

    Sizes are (rows, columns). ``scale`` and ``zero_point`` are those of the result, whose type is uint8; a result of
    the kind ``linear_dynamic`` is float.
    """

    kind: Kind
    scale: float = 1.0
    zero_point: int = 0
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def numbers(self) -> tuple[int, ...]:
        """A convolution's own numbers as they are stored: axes, sizes, output padding, groups, not transposed."""
        return (2, *self.stride, *self.padding, *self.dilation, 0, 0, self.groups, 0)


@dataclass(frozen=True)
class QuantizedClass:
    """How a kind stands in a file: the operator that runs it, with its overload, and the class of its weights."""

    operator: str
    overload: str
    name: str
    rank: int


KINDS: dict[Kind, QuantizedClass] = {
    "linear_dynamic": QuantizedClass("quantized::linear_dynamic", "", "LinearPackedParamsBase", 2),
    "linear": QuantizedClass("quantized::linear", "", "LinearPackedParamsBase", 2),
    "conv2d": QuantizedClass("quantized::conv2d", "new", "Conv2dPackedParamsBase", 4),
}
RUNS = frozenset(f"{row.operator}.{row.overload}" if row.overload else row.operator for row in KINDS.values())
"""The operators of a file that need an engine for int8."""
