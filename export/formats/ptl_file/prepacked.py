"""``Packed``: a product whose weights PyTorch Mobile packs once, when it loads a file, and not again in every call.

The operators ``prepacked::*_run`` take their weights as an object of a class in C++ (``xnnpack.LinearOpContext`` and
its like), which a torch without XNNPACK neither makes nor runs. So the graph calls an operator of ours instead, which
says the same with plain tensors and a text; the writer puts the object in its place (``ptl_file.pack``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgevit.records import Record

NAMESPACE, NAME = "edgevit_export", "packed"
OPERATOR = f"{NAMESPACE}::{NAME}"
SCHEMA = f"{NAME}(Tensor x, Tensor weight, Tensor? bias, str product) -> Tensor"
Kind = Literal["linear", "conv2d", "conv2d_transpose"]


class Packed(Record):
    """What the operator computes besides its tensors; the text ``product`` is this record as JSON.

    Sizes are (rows, columns). The result is cut off below ``least`` and above ``most``: an activation that is part of
    the product.
    """

    kind: Kind
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    output_padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class PackedClass:
    """How a kind stands in a file: the operator that runs it, the class of its weights, the fields of its state.

    ``fields`` are those of ``Packed`` between the two tensors and the two limits, in the order of
    ``aten/src/ATen/native/xnnpack/OpContext.h``; ``rank`` is that of the weights.
    """

    operator: str
    name: str
    rank: int
    fields: tuple[str, ...]


KINDS: dict[Kind, PackedClass] = {
    "linear": PackedClass("prepacked::linear_clamp_run", "LinearOpContext", 2, ()),
    "conv2d": PackedClass(
        "prepacked::conv2d_clamp_run", "Conv2dOpContext", 4, ("stride", "padding", "dilation", "groups")
    ),
    "conv2d_transpose": PackedClass(
        "prepacked::conv2d_transpose_clamp_run",
        "TransposeConv2dOpContext",
        4,
        ("stride", "padding", "output_padding", "dilation", "groups"),
    ),
}
ELSEWHERE = "lite interpreter elsewhere, with XNNPACK"
"""Ends the name of a runtime that is the torch of another Python than the one that the project is installed in."""
RUNS = frozenset(row.operator for row in KINDS.values())
"""The operators of a file that only a runtime with XNNPACK has."""
