"""A depthwise transposed convolution as a product over five axes."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import apply, calls, few
from torch import nn

from export.passes import windows_in_five_axes


@few
@given(c=st.integers(1, 5), r=st.integers(1, 4), s=st.integers(1, 3), bias=st.booleans(), batch=st.integers(1, 3))
@example(c=5, r=3, s=2, bias=True, batch=2)
@example(c=5, r=2, s=3, bias=False, batch=2)
def test_is_the_same_product_without_a_copy_of_the_columns(c: int, r: int, s: int, bias: bool, batch: int) -> None:
    net = nn.ConvTranspose2d(c, c, (r, s), stride=(r, s), groups=c, bias=bias)
    module, log = apply(net, (batch, c, 3, 2), windows_in_five_axes)
    assert (log.name, log.rewrites) == ("windows_in_five_axes", 1)
    assert calls(module, torch.ops.aten.conv_transpose2d.input, torch.ops.aten.cat.default) == 0


def test_leaves_a_near_miss_alone_and_says_so() -> None:
    log = apply(nn.ConvTranspose2d(4, 4, 3, stride=2, groups=4), (1, 4, 3, 3), windows_in_five_axes)[1]
    assert (log.rewrites, ["kernel = stride" in row.why for row in log.refused]) == (0, [True])
