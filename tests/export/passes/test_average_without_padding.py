"""Averages in the form that a delegate takes."""

from __future__ import annotations

import pytest
import torch
from pass_rig import apply, calls
from torch import nn

from export.passes import average_without_padding

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("net", "pads"),
    [
        (nn.AvgPool2d(2), 0),
        (nn.AvgPool2d((2, 3), (1, 2)), 0),
        (nn.AvgPool2d(3, 1, padding=1), 1),
        (nn.AvgPool2d((3, 5), 2, padding=(1, 2)), 1),
        (nn.AvgPool2d(2, ceil_mode=True), 0),
        (nn.AdaptiveAvgPool2d((3, 2)), 0),
        (nn.AdaptiveAvgPool2d((6, 8)), 0),
    ],
)
def test_counts_no_padding_any_more(net: nn.Module, pads: int) -> None:
    module, log = apply(net, (2, 3, 6, 8), average_without_padding)
    assert (log.rewrites, log.refused) == (1, ())
    (pool,) = (node for node in module.graph.nodes if node.target is aten.avg_pool2d.default)
    assert pool.args[3:] == ([0, 0], False, False)
    assert calls(module, aten.constant_pad_nd.default) == pads


def test_leaves_what_is_well_and_what_is_global_alone() -> None:
    for net in (nn.AvgPool2d(3, 1, padding=1, count_include_pad=False), nn.AdaptiveAvgPool2d(1)):
        log = apply(net, (2, 3, 6, 8), average_without_padding)[1]
        assert (log.rewrites, log.refused) == (0, ())


def test_what_no_delegate_takes_stays_and_is_said() -> None:
    for net, why in (
        (nn.AvgPool2d(2, divisor_override=3), "it divides by a number of its own"),
        (nn.AvgPool2d(4, ceil_mode=True), "its last window is cut off by the border"),
        (nn.AdaptiveAvgPool2d((4, 4)), "its sizes do not divide those of the image"),
    ):
        log = apply(net, (2, 3, 6, 8), average_without_padding)[1]
        assert (log.rewrites, [row.why for row in log.refused]) == (0, [why])
