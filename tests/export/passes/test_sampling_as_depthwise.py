"""Strided samples as a depthwise convolution."""

from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pass_rig import Lambda, apply, calls, few
from torch import nn

from export.passes import sampling_as_depthwise

aten = torch.ops.aten


@few
@given(r=st.integers(2, 4), s=st.integers(2, 3), first=st.sampled_from([1, 2]), odd=st.integers(0, 2))
@example(r=3, s=2, first=1, odd=1)
@example(r=2, s=3, first=2, odd=1)
def test_samples(r: int, s: int, first: int, odd: int) -> None:
    shape = (2, 4 * r + odd, 4 * s, 3) if first == 1 else (2, 3, 4 * r + odd, 4 * s)

    def forward(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        return x[:, ::r][:, :, ::s] if first == 1 else x[:, :, ::r][..., ::s]

    module, log = apply(Lambda(forward), shape, sampling_as_depthwise)
    assert log.rewrites == 1
    assert all(node.args[4] == 1 for node in module.graph.nodes if node.target is aten.slice.Tensor)


def test_leaves_crops_and_channels_alone() -> None:
    def twice(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        rows = x[:, ::2]
        return rows[:, :, ::2].sum() + rows.sum()

    for forward in (
        lambda m, x: x[:, 1::2][:, :, ::2],
        lambda m, x: x[:, 0:4:2][:, :, ::2],
        lambda m, x: x[:, ::2][..., ::2],
        lambda m, x: x[::2][:, ::2],
        lambda m, x: x[:, ::2][:, ::2],
        lambda m, x: x[:, ::2].relu(),
        lambda m, x: x[:, ::2].relu()[:, :, ::2],
        lambda m, x: x[:, ::2, 0][:, ::2],
        lambda m, x: (x * 9).long()[:, ::2][:, :, ::2].double(),
        twice,
    ):
        module, log = apply(Lambda(forward), (1, 8, 8, 4), sampling_as_depthwise)
        assert log.rewrites == 0
        assert calls(module, aten.conv2d.default) == 0


def test_a_sampling_that_stays_is_said_with_its_reason() -> None:
    def shared(m: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        rows = x[:, :, ::2]
        return rows[..., ::2] + rows.mean()

    for forward, reasons in (
        (shared, ["others read the sampled rows alone"]),
        (lambda m, x: x[:, :, 1::2][..., ::2], ["it does not take every r-th number of the whole axis"]),
        (lambda m, x: x[:, :, 1:][..., 1:], []),
    ):
        log = apply(Lambda(forward), (1, 3, 6, 6), sampling_as_depthwise)[1]
        assert log.rewrites == 0
        assert [row.why.partition(",")[0] for row in log.refused] == reasons


def test_in_either_order() -> None:
    module, log = apply(Lambda(lambda m, x: x[:, :, ::3][:, ::2]), (1, 5, 7, 3), sampling_as_depthwise)
    assert log.rewrites == 1
    (conv,) = (node for node in module.graph.nodes if node.target is aten.conv2d.default)
    assert conv.args[3] == [2, 3]
