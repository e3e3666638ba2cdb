"""Paddings by a word are those by numbers."""

from __future__ import annotations

import pytest
import torch
from pass_rig import apply, calls
from torch import nn

from export.passes import padding_in_numbers

aten = torch.ops.aten


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dilation", [1, (2, 3)])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 5), (2, 3), (4, 2)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_same_convolution(padding: str, kernel: tuple[int, int], dilation: int, bias: bool) -> None:
    conv = nn.Conv2d(4, 6, kernel, padding=padding, dilation=dilation, groups=2, bias=bias)
    module, log = apply(conv, (2, 4, 13, 17), padding_in_numbers)
    assert log.rewrites == 1
    assert calls(module, aten.conv2d.default) == 1 and calls(module, aten.conv2d.padding) == 0
    uneven = any(
        (size - 1) * step % 2
        for size, step in zip(kernel, (dilation, dilation) if dilation == 1 else dilation, strict=True)
    )
    assert calls(module, aten.constant_pad_nd.default) == (uneven and padding == "same")


def test_strides_stay_where_the_word_allows_them() -> None:
    module, _ = apply(nn.Conv2d(3, 4, 3, stride=2, padding="valid"), (1, 3, 9, 8), padding_in_numbers)
    assert calls(module, aten.conv2d.default) == 1


@pytest.mark.parametrize(
    "layer", [nn.Conv1d(4, 2, 4, padding="same", dilation=3), nn.Conv3d(4, 2, (2, 3, 4), padding="same")]
)
def test_one_and_three_axes(layer: nn.Module) -> None:
    shape = (2, 4, 13) if isinstance(layer, nn.Conv1d) else (2, 4, 5, 6, 7)
    module, log = apply(layer, shape, padding_in_numbers)
    assert (log.rewrites, calls(module, aten.conv1d.padding, aten.conv3d.padding)) == (1, 0)
