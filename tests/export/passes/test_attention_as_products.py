"""Attention as two products and a softmax, against torch's own operator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from export.graph_editor import GraphEditor
from export.passes import attention_as_products, compute_constants

aten = torch.ops.aten
ATTENTION = aten.scaled_dot_product_attention.default


@pytest.mark.parametrize("shape", [(2, 3, 5, 9), (2, 5, 9), (2, 2, 3, 5, 9)])
def test_without_a_mask(shape: tuple[int, ...]) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return scaled_dot_product_attention(x[..., :3, :4], x[..., 4:8], x[..., 6:].tanh())

    module, log = apply(Lambda(forward), shape, attention_as_products)
    assert log.rewrites == 1
    assert calls(module, ATTENTION) == 0
    assert calls(module, aten.matmul.default) == 2


def masked(make: Callable[[], Tensor | None], **options: float | bool) -> Lambda:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return scaled_dot_product_attention(x, x.exp(), x.tanh(), attn_mask=make(), **options)

    return Lambda(forward)


MASKS: dict[str, Lambda] = {
    "causal": masked(lambda: None, is_causal=True),
    "a scale": masked(lambda: None, scale=0.3),
    "numbers": masked(lambda: torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(4, 4)),
    "some shut out": masked((1 - torch.eye(4, dtype=torch.float64)).log),
    "truth": masked(lambda: torch.ones(4, 4, dtype=torch.bool).triu()),
    "heads": masked(lambda: torch.arange(48.0, dtype=torch.float64).reshape(1, 3, 4, 4).cos(), scale=2.0),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_and_scales(kind: str) -> None:
    module, log = apply(MASKS[kind], (2, 3, 4, 5), compute_constants, attention_as_products)
    assert (log.rewrites, log.refused) == (1, ())
    assert calls(module, ATTENTION) == 0


def test_what_cannot_be_told_stays_and_is_said() -> None:
    def computed(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return scaled_dot_product_attention(x, x, x, attn_mask=x @ x.transpose(-2, -1))

    def shared(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return scaled_dot_product_attention(x, x[:, :1], x[:, :1])

    shut = masked(lambda: torch.ones(4, 4, dtype=torch.bool).tril(-1))
    for net, why in (
        (Lambda(computed), "its mask is computed"),
        (Lambda(shared), "its operands have unlike leading axes"),
        (shut, "its mask leaves a row nothing to look at"),
    ):
        log = apply(net, (2, 3, 4, 5), compute_constants, attention_as_products)[1]
        assert (log.rewrites, [row.why for row in log.refused]) == (0, [why])


def test_dropout_stays_and_is_said() -> None:
    # capture refuses these: the pass stands for itself
    random = torch.export.export(masked(lambda: None, dropout_p=0.5), (torch.zeros(2, 3, 4, 5),)).module()
    log = attention_as_products.run(GraphEditor(random))
    assert (log.rewrites, [row.why for row in log.refused]) == (0, ["it draws random numbers"])
