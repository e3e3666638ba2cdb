"""One linear layer for query, key and value, where it fills the runtime's tiles better."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import nn

from export.passes import join_narrow_projections

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("width", "parts", "layers"),
    [
        (36, 3, 1),  # 3 x 48 columns against 112
        (36, 2, 1),  # 2 x 48 against 80
        (40, 2, 1),  # 2 x 48 against 80
        (16, 3, 3),
        (48, 3, 3),
        (30, 2, 2),  # 2 x 32 against 64: nothing is saved
        (4, 3, 1),
    ],
)
def test_joins_what_saves_columns(width: int, parts: int, layers: int) -> None:
    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        heads = [layer(x).reshape(-1, 5, 2, width // 2).permute(0, 2, 1, 3) for layer in m.values()]
        return torch.cat(heads, 1)

    net = Lambda(forward, **{f"p{index}": nn.Linear(3, width) for index in range(parts)})
    module, log = apply(net, (1, 5, 3), join_narrow_projections)
    assert log.name == "join_narrow_projections"
    assert log.rewrites == (layers == 1)
    assert calls(module, aten.linear.default) == layers
