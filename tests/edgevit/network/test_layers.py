"""The parts whose meaning can be said in one line, against that line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgevit.network.layers import SparseAttention, spread
from edgevit.network.variants import Delegate, Propagation


@settings(deadline=None, max_examples=50)
@given(
    batch=st.integers(1, 3), height=st.integers(1, 5), width=st.integers(1, 5), rate=st.integers(1, 4),
    channels=st.integers(1, 4),
)  # fmt: skip
def test_spread_puts_delegates_at_their_positions_among_zeros(
    batch: int, height: int, width: int, rate: int, channels: int
) -> None:
    tokens = torch.arange(1.0, 1.0 + batch * height * width * channels).reshape(batch, height * width, channels)
    expected = torch.zeros(batch, height * rate, width * rate, channels)
    expected[:, ::rate, ::rate] = tokens.reshape(batch, height, width, channels)
    torch.testing.assert_close(spread(tokens, height, width, rate), expected.flatten(1, 2), rtol=0, atol=0)


def attention(delegate: Delegate, propagation: Propagation) -> SparseAttention:
    torch.manual_seed(0)
    return SparseAttention(8, heads=2, rate=2, delegate=delegate, propagation=propagation).double().eval()


@pytest.mark.parametrize(
    ("delegate", "reduce"),
    [
        (Delegate.CENTER, lambda windows: windows[..., 0]),
        (Delegate.AVG, lambda windows: windows.mean(-1)),
        (Delegate.MAX, lambda windows: windows.amax(-1)),
    ],
)
def test_delegates_are_made_from_their_windows(delegate: Delegate, reduce: Callable[[Tensor], Tensor]) -> None:
    layer = attention(delegate, Propagation.NONE)
    maps = torch.randn(1, 8, 4, 6, dtype=torch.float64)
    windows = maps.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)  # (1, 8, 2, 3, 4)
    torch.testing.assert_close(layer.sampler(maps), reduce(windows))


def test_attention_is_softmax_of_scaled_products() -> None:
    layer = attention(Delegate.CENTER, Propagation.NONE)
    tokens = torch.randn(2, 6, 8, dtype=torch.float64)
    q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in layer.qkv(tokens).chunk(3, dim=-1))
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(layer._attend(tokens), expected)


def test_without_propagation_only_delegates_change() -> None:
    layer = attention(Delegate.CENTER, Propagation.NONE)
    update = layer(torch.randn(1, 24, 8, dtype=torch.float64), 4, 6).reshape(1, 4, 6, 8)
    assert (update[:, ::2, ::2] != 0).all()
    update[:, ::2, ::2] = 0
    assert (update == 0).all()


def test_bilinear_propagation_keeps_a_constant_map() -> None:
    layer = attention(Delegate.CENTER, Propagation.BILINEAR)
    update = layer(torch.ones(1, 24, 8, dtype=torch.float64), 4, 6)
    torch.testing.assert_close(update, update[:, :1].expand_as(update))
