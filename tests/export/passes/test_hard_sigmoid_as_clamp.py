"""The hard sigmoid as a bounded sum."""

from __future__ import annotations

import torch
from pass_rig import Lambda, apply, calls
from torch.nn.functional import hardsigmoid

from export.passes import hard_sigmoid_as_clamp


def test_is_the_same_below_between_and_above_its_bounds() -> None:
    module, log = apply(Lambda(lambda m, x: hardsigmoid(5 * x)), (40, 5), hard_sigmoid_as_clamp)
    assert (log.rewrites, calls(module, torch.ops.aten.hardsigmoid.default)) == (1, 0)
    values = torch.tensor([-9.0, -3.0, -1.0, 0.0, 3.0, 9.0], dtype=torch.float64).repeat(40, 5)[:, :5] / 5
    assert torch.allclose(module(values), ((5 * values + 3) / 6).clamp(0, 1), rtol=0, atol=1e-12)
