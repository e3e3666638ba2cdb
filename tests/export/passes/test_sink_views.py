"""Views move behind what does not care, meet and cancel."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import Tensor, nn

from export.passes import canonical_views, sink_views
from export.passes.sink_views import axis_groups

aten = torch.ops.aten
VIEWS = (aten.permute.default, aten.reshape.default)


@few
@given(seed=st.integers(0, 10_000), length=st.integers(1, 9))
def test_random_chains_keep_their_function(seed: int, length: int) -> None:
    """Views, elementwise calls, slices, means, linear layers and sums in any order."""
    generator = torch.Generator().manual_seed(seed)

    def pick(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.choices = [(pick(7), torch.randperm(4, generator=generator).tolist(), pick(4)) for _ in range(length)]

        def forward(self, x: Tensor) -> Tensor:
            for kind, order, axis in self.choices:
                y = x.permute(order)
                if kind == 0:
                    x = y.relu() + y
                elif kind == 1:
                    x = y.reshape(y.shape[0], -1, y.shape[3]).softmax(-1).reshape(y.shape)
                elif kind == 2:
                    x = torch.nn.functional.layer_norm(y, [y.shape[-1]])
                elif kind == 3:
                    x = y.narrow(axis, 0, max(1, y.shape[axis] - 1)).contiguous()
                elif kind == 4:
                    x = y.mean(axis, keepdim=True) + y
                elif kind == 5:
                    x = torch.cat([y, y.sigmoid()], axis)
                else:
                    x = torch.nn.functional.gelu(y.flatten(1, 2)).reshape(y.shape)
            return x

    apply(Chain(), (2, 3, 2, 4), canonical_views, sink_views)


def test_tokens_and_back_vanish() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        tokens = x.permute(0, 3, 1, 2).flatten(2).transpose(1, 2)
        tokens = tokens + m["fc"](m["norm"](tokens))
        return tokens.transpose(1, 2).reshape(2, 4, 3, 5).permute(0, 2, 3, 1)

    net = Lambda(forward, norm=nn.LayerNorm(4), fc=nn.Linear(4, 4))
    module, _ = apply(net, (2, 3, 5, 4), canonical_views, sink_views)
    assert calls(module, *VIEWS) == 0


def test_mean_over_flattened_positions() -> None:
    net = Lambda(lambda m, x: x.permute(0, 3, 1, 2).flatten(2).mean(-1))
    module, _ = apply(net, (2, 3, 5, 4), canonical_views, sink_views)
    assert calls(module, *VIEWS) == 0


def test_axis_groups() -> None:
    assert axis_groups((2, 6, 4), (2, 2, 3, 4)) == [([0], [0]), ([1], [1, 2]), ([2], [3])]
    assert axis_groups((2, 6), (3, 4)) == [([0, 1], [0, 1])]
