"""The operator of ``quantized`` as torch knows it, for graphs that are traced here."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from export.formats.ptl_file.narrow.quantized import NAME, SCHEMA, Quantized
from export.formats.ptl_file.prepacked import NAMESPACE


def compute(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None, layer: str) -> Tensor:
    """What our operator stands for, its activation not rounded where the range is dynamic."""
    found = Quantized.from_json(layer, origin="a quantised layer")
    wide = weight.float() * scales.reshape(-1, *[1] * (weight.dim() - 1))
    source = x.dequantize() if x.is_quantized else x
    if found.kind == "conv2d":
        result = functional.conv2d(source, wide, bias, found.stride, found.padding, found.dilation, found.groups)
    else:
        result = functional.linear(source, wide, bias)
    if found.kind == "linear_dynamic":
        return result
    return torch.quantize_per_tensor(result, found.scale, found.zero_point, torch.quint8)


_LIBRARY = torch.library.Library(NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define(SCHEMA)  # type: ignore[no-untyped-call]
_LIBRARY.impl(NAME, compute, "CompositeImplicitAutograd")  # type: ignore[no-untyped-call]
CALL = getattr(getattr(torch.ops, NAMESPACE), NAME).default
