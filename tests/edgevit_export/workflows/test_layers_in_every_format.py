"""Every layer of ``torch.nn`` that a vision network could use, in every format: proven, or refused with its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from torch_layers import LAYERS, build

from edgevit.errors import ExportError
from edgevit_export import export, spec_for
from export.recipe import Format, Recipe

RANDOM = {"FractionalMaxPool2d": r"aten::rand draws random numbers, at "}
UNPOOLING = ("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d")
REFUSED: dict[Format, dict[str, str]] = {
    Format.PTL: {**RANDOM, **dict.fromkeys(UNPOOLING, r"_with_indices \(once\): not among .*, from layer.layers.pool")},
    Format.ONNX: RANDOM,
    Format.TFLITE: {
        **RANDOM,
        **dict.fromkeys(UNPOOLING, r"STABLEHLO_SCATTER .*, from layer.layers.back"),
        "ConvTranspose3d": r"no stock runtime has a kernel for STABLEHLO_CONVOLUTION, from layer",
    },
    Format.PTE: {
        **RANDOM,
        "MaxUnpool3d": r"max_pool3d_with_indices.out .*, from layer.layers.pool",
        **dict.fromkeys(
            ("Conv3d", "Conv3d same", "Conv3d circular", "ConvTranspose3d"),
            r"\(in layer\): its kernels convolve over one or two axes, not three",
        ),
    },
}
"""By format and layer, what the refusal says; docs/networks.md has the table."""
OF_SLOW_CONVERTERS = (
    "RReLU", "GELU tanh", "PReLU", "Mish", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "LayerNorm", "RMSNorm",
    "LocalResponseNorm", "AvgPool2d of a divisor", "AvgPool2d without border", "AdaptiveAvgPool2d uneven",
    "AdaptiveMaxPool2d", "AdaptiveMaxPool2d uneven", "Conv1d same", "Conv2d circular", "Conv2d reflect",
    "Conv2d same, even", "ChannelShuffle", "Fold", "Fold overlapping", "Upsample nearest to a size",
    "Upsample nearest-exact", "Upsample bicubic", "Bilinear", "MultiheadAttention", "MaxPool3d", "LPPool3d",
    "AdaptiveAvgPool3d", "AdaptiveMaxPool3d",
)  # fmt: skip
"""What these two formats get otherwise or are known to do badly; all others were run by hand, and passed."""
CASES = [
    (format, name)
    for format in Format
    for name in LAYERS
    if format in (Format.PTL, Format.ONNX) or name in OF_SLOW_CONVERTERS or name in REFUSED[format]
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("format", "name"), CASES)
def test_it_is_proven_or_refused_with_its_name(format: Format, name: str, tmp_path: Path) -> None:
    model, example = build(name)
    spec = spec_for(model, (example,), name="layer")
    try:
        (outcome,) = export(model, spec, [Recipe(format=format)], output=tmp_path).outcomes
        verdict, reasons = outcome.verdict, "\n".join(outcome.reasons)
    except ExportError as error:
        verdict, reasons = "refused", error.message
    known = REFUSED[format].get(name)
    if known is None:
        assert verdict == "passed", reasons
    else:
        assert verdict != "passed"
        assert re.search(known, reasons), reasons
