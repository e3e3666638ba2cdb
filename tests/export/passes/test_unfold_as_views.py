"""Patches that do not overlap as views."""

from __future__ import annotations

import torch
from pass_rig import apply, calls
from torch import nn

from export.passes import unfold_as_views

aten = torch.ops.aten


def test_patches_keep_their_order() -> None:
    for kernel, stride in ((2, 2), ((2, 3), (2, 3)), (1, 1)):
        module, log = apply(nn.Unfold(kernel, stride=stride), (2, 3, 4, 6), unfold_as_views)
        assert (log.rewrites, calls(module, aten.im2col.default)) == (1, 0)


def test_other_patches_stay_and_are_said() -> None:
    overlap, divide = "its patches overlap, are padded or have holes", "its kernel does not divide the image"
    for net, why in (
        (nn.Unfold(3, stride=2), overlap),
        (nn.Unfold(2, stride=2, padding=1), overlap),
        (nn.Unfold(2, stride=2, dilation=2), overlap),
        (nn.Unfold((2, 4), stride=(2, 4)), divide),
    ):
        log = apply(net, (2, 3, 4, 6), unfold_as_views)[1]
        assert (log.rewrites, [row.why for row in log.refused]) == (0, [why])
