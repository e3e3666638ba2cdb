"""Tokens as the rows of matrices."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import merge_duplicates, tokens_as_rows

aten = torch.ops.aten


@few
@given(batch=st.integers(1, 2), h=st.integers(1, 3), w=st.integers(1, 3), c=st.integers(1, 5), hidden=st.integers(1, 6))
@example(batch=2, h=3, w=2, c=5, hidden=4)
def test_a_token_block_is_reshaped_once_each_way(batch: int, h: int, w: int, c: int, hidden: int) -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        y = x + m["proj"](m["norm"](x))
        return y + m["fc2"](torch.nn.functional.gelu(m["fc1"](m["norm"](y))))

    layers = {
        "proj": nn.Linear(c, c),
        "norm": nn.LayerNorm(c),
        "fc1": nn.Linear(c, hidden),
        "fc2": nn.Linear(hidden, c),
    }
    module, log = apply(Lambda(forward, **layers), (batch, h, w, c), tokens_as_rows, merge_duplicates)
    assert log.rewrites > 0
    assert calls(module, aten.reshape.default) == 2
    assert all(
        node.meta["val"].dim() == 2
        for node in module.graph.nodes
        if node.target in (aten.linear.default, aten.layer_norm.default, aten.gelu.default, aten.add.Tensor)
    )


def test_leaves_matrices_other_norms_spread_sums_and_images_alone() -> None:
    def spread(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return x + x[:, :1]

    def scaled(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return torch.add(x, x.flip(1), alpha=3)

    def images(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1) + x.permute(0, 2, 3, 1).flip(1).permute(0, 1, 2, 3)

    for forward in (spread, scaled, images):
        assert apply(Lambda(forward), (2, 3, 4, 5), tokens_as_rows)[1].rewrites == 0, forward.__name__
    assert apply(nn.LayerNorm((3, 4)), (2, 3, 4), tokens_as_rows)[1].rewrites == 0
    assert apply(nn.Linear(3, 4), (2, 3), tokens_as_rows)[1].rewrites == 0


def test_a_sum_of_an_image_and_tokens_and_sums_of_numbers() -> None:
    def half_image(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1) + m["linear"](x.permute(0, 2, 3, 1))

    assert apply(Lambda(half_image, linear=nn.Linear(3, 3)), (2, 3, 4, 5), tokens_as_rows)[1].rewrites == 2
    numbers = Lambda(lambda m, x: x + 2)
    assert apply(numbers, (2, 3, 4), tokens_as_rows)[1].rewrites == 0


def test_what_already_is_a_matrix_is_taken_as_it_is() -> None:
    """Through any number of reshapes, but none that gives other channels."""

    def matrix(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["fc"](x.tanh().reshape(2, 3, 4).reshape(3, 2, 4))

    def wider(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return m["fc"](x.tanh().reshape(2, 6, 2))

    for forward, layer, reshapes in ((matrix, nn.Linear(4, 5), 1), (wider, nn.Linear(2, 5), 2)):
        module, log = apply(Lambda(forward, fc=layer), (6, 4), tokens_as_rows)
        assert log.rewrites == 1
        assert calls(module, aten.reshape.default) == reshapes
