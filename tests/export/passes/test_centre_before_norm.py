"""The product in front of a norm computes centred values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, assert_folded_in_double, calls, few
from torch import nn

from export.passes import centre_before_norm, layer_norm_as_products

aten = torch.ops.aten


@few
@given(c=st.integers(2, 6), bias=st.booleans(), kernel=st.integers(1, 3), image=st.booleans())
@example(c=5, bias=True, kernel=2, image=True)
@example(c=5, bias=False, kernel=2, image=True)
@example(c=5, bias=True, kernel=1, image=False)
@example(c=5, bias=False, kernel=1, image=False)
def test_centres_the_only_producer(c: int, bias: bool, kernel: int, image: bool) -> None:
    if image:
        layers = {"conv": nn.Conv2d(3, c, kernel, bias=bias), "norm": nn.LayerNorm(c)}
        net = Lambda(lambda m, x: m["norm"](m["conv"](x).permute(0, 2, 3, 1)), **layers)
        shape = (1, 3, 4, 5)
    else:
        net = Lambda(lambda m, x: m["norm"](m["fc"](x)), fc=nn.Linear(3, c, bias=bias), norm=nn.LayerNorm(c))
        shape = (2, 4, 3)
    assert apply(net, shape, centre_before_norm)[1].rewrites == 1
    module, _ = apply(net, shape, centre_before_norm, layer_norm_as_products)
    assert calls(module, aten.sub.Tensor) == 0


def test_leaves_a_second_reader_and_groups_alone() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.norm = nn.Linear(3, 4), nn.LayerNorm(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.fc(x)
            return y + self.norm(y)

    assert apply(Both(), (2, 3), centre_before_norm)[1].rewrites == 0
    layers = {"conv": nn.Conv2d(4, 4, 1, groups=4), "norm": nn.LayerNorm(4)}
    grouped = Lambda(lambda m, x: m["norm"](m["conv"](x).permute(0, 2, 3, 1)), **layers)
    assert apply(grouped, (1, 4, 3, 3), centre_before_norm)[1].rewrites == 0


def test_tokens_reshaped_on_the_way() -> None:
    """As long as the channels stay the last axis, and nothing else reads what would be centred."""
    layers = {"fc": nn.Linear(3, 4), "norm": nn.LayerNorm(4), "pair": nn.LayerNorm(2)}

    def kept(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](m["fc"](x).reshape(2, 5, 4).reshape(10, 4))

    def split(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["pair"](m["fc"](x).reshape(10, 2, 2))

    def turned(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](m["fc"](x)[:4].permute(1, 0))

    def read_on_the_way(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["fc"](x).reshape(2, 5, 4)
        return m["norm"](y.reshape(10, 4)) + y.reshape(10, 4).relu()

    for forward, expected in ((kept, 1), (split, 0), (turned, 0), (read_on_the_way, 0)):
        net = Lambda(forward, **layers)
        module, log = apply(net, (10, 3), centre_before_norm, layer_norm_as_products)
        assert log.rewrites == 1
        assert calls(module, aten.sub.Tensor) == 1 - expected, forward.__name__


def test_leaves_convolutions_alone_whose_channels_are_elsewhere_or_read_by_others() -> None:
    layers = {"conv": nn.Conv2d(4, 4, 1), "norm": nn.LayerNorm(4), "rows": nn.LayerNorm([4, 4])}

    def turned(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](m["conv"](x).permute(0, 3, 2, 1))

    def as_it_is(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](m["conv"](x))

    def several_axes(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["rows"](m["conv"](x).permute(0, 2, 3, 1))

    def pooled(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](torch.max_pool2d(m["conv"](x), 1).permute(0, 2, 3, 1))

    def read_twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["conv"](x)
        return m["norm"](y.permute(0, 2, 3, 1)) + y

    def view_read_twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = m["conv"](x).permute(0, 2, 3, 1)
        return m["norm"](y) + y

    def computed(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](torch.conv2d(x, m["conv"].weight * x.mean()).permute(0, 2, 3, 1))

    for forward in (turned, as_it_is, several_axes, pooled, read_twice, view_read_twice, computed):
        log = apply(Lambda(forward, **layers), (1, 4, 4, 4), centre_before_norm)[1]
        assert log.rewrites == 0, forward.__name__


def test_a_product_is_centred_once_and_rounded_once() -> None:
    net = Lambda(lambda m, x: m["norm"](m["fc"](x)), fc=nn.Linear(3, 5), norm=nn.LayerNorm(5))
    assert apply(net, (2, 3), centre_before_norm, centre_before_norm)[1].rewrites == 0
    assert_folded_in_double(net, (2, 3), centre_before_norm)


class _Stream(nn.Module):
    """Class token, positions, and ``blocks`` residual branches, each behind its own norm: a small transformer."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 6, 2, 2)
        self.token, self.place = nn.Parameter(torch.randn(1, 1, 6)), nn.Parameter(torch.randn(1, 5, 6))
        self.norms = nn.ModuleList(nn.LayerNorm(6) for _ in range(blocks))
        self.branches = nn.ModuleList(nn.Linear(6, 6) for _ in range(blocks))
        self.last = nn.LayerNorm(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x).permute(0, 2, 3, 1).reshape(-1, 4, 6)
        x = torch.cat([self.token, x], 1) + self.place
        for norm, branch in zip(self.norms, self.branches, strict=True):
            x = x + branch(norm(x))
        return self.last(x[:, 0:1])


def test_a_whole_residual_stream() -> None:
    net = _Stream(3)
    assert apply(net, (1, 3, 4, 4), centre_before_norm)[1].rewrites == 3 + 3
    module, _ = apply(net, (1, 3, 4, 4), centre_before_norm, layer_norm_as_products)
    assert calls(module, aten.sub.Tensor) == 0


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum(),
        lambda x: torch.cat([x, x], 2).sum(),
        lambda x: torch.cat([x, x], -1).sum(),
        lambda x: x[..., 1:].mean(),
        lambda x: x.permute(0, 2, 1)[:, :2].mean(),
        lambda x: x.select(2, 1).mean(),
        lambda x: (x + 1).mean(),
        lambda x: (x * x).mean(),
        lambda x: (x + x[..., :1]).mean(),
        lambda x: torch.nn.functional.layer_norm(x, x.shape[1:]).mean(),
    ],
)
def test_one_other_reader_keeps_the_whole_stream(read: Callable[[torch.Tensor], torch.Tensor]) -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        stream = m["first"](x)
        stream = stream + m["branch"](m["norm"](stream))
        return m["last"](stream) + read(stream)

    layers = {"first": nn.Linear(4, 6), "branch": nn.Linear(6, 6), "norm": nn.LayerNorm(6), "last": nn.LayerNorm(6)}
    assert apply(Lambda(forward, **layers), (1, 5, 4), centre_before_norm)[1].rewrites == 0


def test_a_part_that_cannot_be_centred_keeps_the_whole_stream() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["norm"](m["first"](x) + x.exp())

    layers = {"first": nn.Linear(6, 6), "norm": nn.LayerNorm(6)}
    assert apply(Lambda(forward, **layers), (1, 5, 6), centre_before_norm)[1].rewrites == 0


def test_weights_of_a_norm_are_no_stream() -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        scale = m["fc"](x)
        return torch.nn.functional.layer_norm(scale, [6], weight=scale)

    assert apply(Lambda(forward, fc=nn.Linear(3, 6)), (3,), centre_before_norm)[1].rewrites == 0
