"""Averages in order: the same numbers but for rounding, and worse on images of one colour."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from export.eager.long_sums import long_sums

LONG = {
    "mean": lambda x: x.mean((2, 3)),
    "mean of all": torch.mean,
    "kept": lambda x: torch.mean(x, dim=(-2, -1), keepdim=True),
    "pool": nn.AdaptiveAvgPool2d(1),
    "groups": nn.GroupNorm(2, 4, eps=1e-3),
    "instances": nn.InstanceNorm2d(4, affine=True),
}


@pytest.mark.parametrize("name", LONG)
def test_the_same_numbers_but_for_rounding(name: str) -> None:
    image = torch.randn(2, 4, 24, 24, generator=torch.Generator().manual_seed(0)) + 1
    with torch.no_grad(), long_sums(in_order=True) as terms:
        seen = LONG[name](image)
    with torch.no_grad():
        expected = LONG[name](image)
    assert terms and min(terms) >= 576
    torch.testing.assert_close(seen, expected, rtol=1e-5, atol=1e-5)


def test_equal_terms_lose_more_in_order() -> None:
    image = torch.full((1, 1, 64, 64), 0.1)
    with long_sums(in_order=True):
        in_order = image.mean()
    assert abs(float(image.mean()) - 0.1) < 3e-8
    assert 1e-7 < abs(float(in_order) - 0.1) < 1e-5


def test_only_watching_changes_nothing_and_short_ones_are_not_noted() -> None:
    image = torch.randn(1, 4, 24, 24)
    with long_sums(in_order=False) as terms:
        assert torch.equal(image.mean((2, 3)), functional.adaptive_avg_pool2d(image, 1).flatten(1))
    assert terms == [576, 576]
    with long_sums(in_order=True) as terms:
        (
            image[..., :7, :7].mean((2, 3)),
            functional.adaptive_avg_pool2d(image, 2),
            functional.layer_norm(image, (24, 24)),
        )
        image.double().mean(), image.mean(dtype=torch.float64)
    assert terms == []
