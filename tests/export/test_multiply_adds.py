"""Multiply-adds of captured programs against figures by hand, by arithmetic, and from the paper."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, captured, randomised
from torch import Tensor, nn
from torch.nn import functional

from edgevit.build import build_model
from edgevit.network.complexity import complexity
from edgevit.network.describe import ModelRequest
from edgevit.network.variants import find_variant
from edgevit.spec import Task
from export.multiply_adds import multiply_adds
from export.pipeline import optimize
from export.program import capture
from export.recipe import Format, Recipe

Forward = Callable[[nn.ModuleDict, Tensor], Tensor]


@pytest.mark.parametrize(
    ("layer", "shape", "by_hand"),
    [
        (nn.Linear(4, 3), (2, 5, 4), 2 * 5 * 4 * 3),
        (nn.Conv2d(4, 6, 3, padding=1), (2, 4, 8, 8), 2 * 8 * 8 * 6 * 4 * 9),
        (nn.Conv2d(4, 6, 3, stride=2), (1, 4, 9, 9), 4 * 4 * 6 * 4 * 9),
        (nn.Conv2d(4, 4, 5, padding="same", groups=4), (1, 4, 8, 8), 8 * 8 * 4 * 25),
        (nn.Conv2d(4, 6, 1, groups=2), (1, 4, 3, 3), 3 * 3 * 6 * 2),
        (nn.ConvTranspose2d(4, 4, 2, stride=2, groups=4), (1, 4, 3, 3), 3 * 3 * 4 * 4),
        (nn.Sequential(nn.BatchNorm2d(4), nn.GELU(), nn.AvgPool2d(2), nn.Softmax(1)), (1, 4, 8, 8), 0),
    ],
)
def test_a_layer_alone(layer: nn.Module, shape: tuple[int, ...], by_hand: int) -> None:
    assert multiply_adds(captured(randomised(layer), shape)) == by_hand


@pytest.mark.parametrize(
    ("forward", "by_hand"),
    [
        (lambda m, x: x @ x.transpose(-2, -1), 2 * 3 * 5 * 5 * 4),
        (lambda m, x: functional.scaled_dot_product_attention(x, x, x), 2 * (2 * 3 * 5 * 5 * 4)),
        (lambda m, x: functional.scaled_dot_product_attention(x, x[:, :, :2], x[:, :, :2]), 2 * (2 * 3 * 5 * 2 * 4)),
        (lambda m, x: torch.einsum("bhij,bhkj->bhik", x, x), 2 * 3 * 5 * 5 * 4),
        (lambda m, x: x[0, 0] @ x[0, 0, 0], 5 * 4),
        (lambda m, x: torch.addmv(x[0, 0, :, 0], x[0, 0], x[0, 0, 0]), 5 * 4),
        (lambda m, x: (x[0, 0, 0] @ x[0, 0, 1]).reshape(1), 4),
    ],
)
def test_a_product_of_what_is_computed(forward: Forward, by_hand: int) -> None:
    assert multiply_adds(captured(Lambda(forward), (2, 3, 5, 4))) == by_hand


def test_attention_with_its_projections() -> None:
    tokens, width, heads = 5, 4, 2
    net = Lambda(lambda m, x: m["a"](x, x, x, need_weights=False)[0], a=nn.MultiheadAttention(width, heads))
    by_hand = 3 * tokens * width**2 + 2 * heads * tokens**2 * (width // heads) + tokens * width**2
    assert multiply_adds(captured(randomised(net), (tokens, 1, width))) == by_hand


@pytest.mark.parametrize(("variant", "giga"), [("xxs", 0.55), ("xs", 1.13), ("s", 1.91)])
def test_the_papers_figures(variant: str, giga: float) -> None:
    assert round(multiply_adds(capture(*build_model(variant))) / 1e9, 2) == giga


@pytest.mark.parametrize("size", [(800, 800), (256, 96)])
def test_the_network_itself_and_the_arithmetic_agree_at_every_size(size: tuple[int, int]) -> None:
    request = ModelRequest(
        config=find_variant("xxs"), task=Task.CLASSIFY, num_classes=1000, in_channels=3, input_size=size, batch=1
    )
    assert multiply_adds(capture(*build_model("xxs", input_size=size))) == complexity(request).multiply_adds


def test_optimising_saves_some_and_a_batch_costs_as_many_times() -> None:
    one, two = (capture(*build_model("xxs", input_size=(64, 64), batch=batch)) for batch in (1, 2))
    assert multiply_adds(two) == 2 * multiply_adds(one)
    assert multiply_adds(optimize(one, Recipe(format=Format.ONNX))) < 1.01 * multiply_adds(one)
