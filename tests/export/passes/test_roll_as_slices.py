"""Cyclic shifts as slices."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, apply, calls

from export.passes import roll_as_slices

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("shifts", "axes", "slices"),
    [((-2, -2), (1, 2), 4), (1, 0, 2), (3, -1, 2), (-7, 2, 2), ((1, 2), (1, 1), 4), ((5, 1), (1, 2), 2)],
)
def test_shifts_by_any_number(shifts: int | tuple[int, ...], axes: int | tuple[int, ...], slices: int) -> None:
    module, log = apply(Lambda(lambda m, x: torch.roll(x, shifts, axes).exp()), (2, 5, 6), roll_as_slices)
    assert (log.rewrites, calls(module, aten.roll.default), calls(module, aten.slice.Tensor)) == (1, 0, slices)


def test_a_shift_of_all_axes_stays_and_is_said() -> None:
    log = apply(Lambda(lambda m, x: torch.roll(x, 1)), (2, 3), roll_as_slices)[1]
    assert (log.rewrites, [row.why for row in log.refused]) == (0, ["it shifts all axes as one"])
