"""What older runtimes lack is written with what they have; what they have stays."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import Tensor, nn
from torch.nn import functional

from export.passes import operators_of_old_runtimes

aten = torch.ops.aten


def for_bytecode(bytecode: int) -> ModuleType:
    """The pass as ``pass_rig`` runs passes."""
    step = ModuleType("for_bytecode")
    step.__dict__["run"] = lambda editor: operators_of_old_runtimes.run(editor, bytecode)
    return step


class _Gelu(nn.Module):
    def __init__(self, approximate: str) -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(x * 3, approximate=self.approximate)


@pytest.mark.parametrize(
    ("approximate", "bytecode", "rewritten"),
    [("none", 4, 1), ("none", 5, 1), ("none", 6, 0), ("none", 7, 0), ("tanh", 4, 1), ("tanh", 6, 1), ("tanh", 7, 1)],
)
def test_gelu_is_written_otherwise_where_its_arguments_are_too_many(
    approximate: str, bytecode: int, rewritten: int
) -> None:
    module, log = apply(_Gelu(approximate), (2, 3), for_bytecode(bytecode))
    assert (log.rewrites, calls(module, aten.gelu.default)) == (rewritten, 1 - rewritten)
    assert calls(module, aten.erf.default) == (rewritten if approximate == "none" else 0)


def test_a_single_number_keeps_its_precision() -> None:
    module, _ = apply(_Gelu("none").float(), (), for_bytecode(4))
    assert module(torch.tensor(0.5)).dtype == torch.float32


def attention(*, scale: float | None = None, is_causal: bool = False) -> nn.Module:
    """Of a query with 4 channels on 5 keys."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        query, key, value = x[:, :3], x[:, 3:8], x[:, 8:] * 2
        return functional.scaled_dot_product_attention(query, key, value, is_causal=is_causal, scale=scale)

    return Lambda(forward)


@pytest.mark.parametrize("scale", [None, 0.3])
def test_attention_is_written_as_products(scale: float | None) -> None:
    module, log = apply(attention(scale=scale), (2, 13, 4), for_bytecode(7))
    assert (log.rewrites, calls(module, aten.matmul.default)) == (1, 2)
    assert calls(module, aten.scaled_dot_product_attention.default) == 0


def test_attention_with_a_mask_stays_and_says_so() -> None:
    module, log = apply(attention(is_causal=True), (2, 13, 4), for_bytecode(7))
    assert calls(module, aten.scaled_dot_product_attention.default) == 1
    assert "causality" in log.refused[0].why


def test_padding_with_a_constant() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return functional.pad(functional.pad(x, [1, 2]), [0, 0, 3, 1], value=-0.5)

    module, log = apply(Lambda(forward), (2, 3, 4), for_bytecode(7))
    assert (log.rewrites, calls(module, aten.pad.default)) == (2, 0)
    reflected = Lambda(lambda m, x: functional.pad(x, [1, 2], mode="reflect"))
    module, log = apply(reflected, (2, 3, 4), for_bytecode(7))
    assert [row.why for row in log.refused] == ["its mode is reflect"]
