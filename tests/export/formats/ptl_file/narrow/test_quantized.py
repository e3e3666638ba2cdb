"""What a quantised layer says of itself, and which operators of the stock runtime stand for it."""

from __future__ import annotations

import torch

from export.formats.ptl_file.narrow.quantized import KINDS, RUNS, Quantized
from export.formats.ptl_file.values import NATIVE_CLASSES
from export.formats.ptl_file.versions import why_not_standard


def test_a_convolutions_numbers_are_those_that_torch_stores() -> None:
    layer = Quantized(kind="conv2d", stride=(2, 1), padding=(1, 3), dilation=(5, 4), groups=6)
    assert Quantized.from_json(layer.to_json(), origin="test").numbers == (2, 2, 1, 1, 3, 5, 4, 0, 0, 6, 0)


def test_every_kind_is_an_operator_of_the_stock_runtime() -> None:
    assert all(why_not_standard(name) is None for name in RUNS) and len(RUNS) == len(KINDS)
    for row in KINDS.values():
        assert f"__torch__.torch.classes.quantized.{row.name}" in NATIVE_CLASSES
        assert row.name in str(torch._C._get_schema(row.operator, row.overload).arguments[1].type)
