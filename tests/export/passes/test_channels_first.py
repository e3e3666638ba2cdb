"""Images keep their channels first."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import canonical_views, channels_first, channels_last, linear_as_pointwise

aten = torch.ops.aten


@few
@given(c=st.integers(1, 4), batch=st.integers(1, 2))
def test_linear_layers_between_convolutions_need_no_permutes(c: int, batch: int) -> None:
    layers = {"conv": nn.Conv2d(c, c, 3, padding=1), "fc": nn.Linear(c, c)}
    net = Lambda(lambda m, x: m["conv"](m["fc"](m["conv"](x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)), **layers)
    steps = (canonical_views, channels_last, linear_as_pointwise, channels_first)
    module, _ = apply(net, (batch, c, 4, 5), *steps)
    assert calls(module, aten.permute.default) == 0


def test_a_mixed_sum_is_taken_channels_first() -> None:
    net = Lambda(
        lambda m, x: m["conv"](x).permute(0, 2, 3, 1) + x.flatten(1).softmax(1).reshape(1, 4, 4, 4),
        conv=nn.Conv2d(4, 4, 1),
    )
    module, log = apply(net, (1, 4, 4, 4), canonical_views, channels_first)
    assert log.rewrites == 1
    assert calls(module, aten.permute.default) == 2
