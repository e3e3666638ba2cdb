"""Pooling that a format lacks is the same in windows that it has; ``pass_rig`` compares with eager float64."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, apply, calls, decomposing
from torch import Tensor, nn
from torch.nn import functional

from export.recipe import Format

aten = torch.ops.aten
POOLS_3D = (aten.avg_pool3d.default, aten.max_pool3d.default, aten.adaptive_avg_pool3d.default)
ADAPTIVE_MAX = (aten.adaptive_max_pool1d.default, aten.adaptive_max_pool2d.default, aten.adaptive_max_pool3d.default)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.AdaptiveMaxPool1d(3), (2, 3, 12)),
        (nn.AdaptiveMaxPool1d(5), (2, 3, 12)),
        (nn.AdaptiveMaxPool2d((2, 3)), (2, 3, 8, 9)),
        (nn.AdaptiveMaxPool2d((5, 9)), (2, 3, 7, 9)),
        (nn.AdaptiveMaxPool2d(1), (2, 3, 7, 9)),
        (nn.AdaptiveMaxPool3d((2, 1, 3)), (2, 3, 4, 5, 6)),
        (nn.AdaptiveMaxPool3d((3, 2, 4)), (2, 3, 4, 5, 6)),
    ],
)
@pytest.mark.parametrize("format", [Format.TFLITE, Format.PTE, Format.ONNX])
def test_greatest_values_of_any_size(layer: nn.Module, shape: tuple[int, ...], format: Format) -> None:
    module, log = apply(layer, shape, decomposing(format))
    assert (log.rewrites, calls(module, *ADAPTIVE_MAX)) == (1, 0)


def test_indices_that_are_read_stay_and_it_is_said() -> None:
    layer = Lambda(lambda m, x: functional.adaptive_max_pool2d(x, 2, return_indices=True)[1].double())
    _, log = apply(layer, (1, 2, 4, 4), decomposing(Format.PTE))
    assert [row.why for row in log.refused] == ["its indices are read"]


@pytest.mark.parametrize(
    ("layer", "shape", "rewrites"),
    [
        (nn.AdaptiveAvgPool1d(5), (2, 3, 12), 1),
        (nn.AdaptiveAvgPool2d((3, 5)), (2, 3, 7, 9), 1),
        (nn.AdaptiveAvgPool2d((7, 1)), (2, 3, 8, 9), 1),
        (nn.AdaptiveAvgPool2d((4, 3)), (2, 3, 8, 9), 0),
        (nn.AdaptiveAvgPool3d((3, 2, 4)), (2, 3, 4, 5, 6), 1),
    ],
)
def test_averages_of_sizes_that_do_not_divide(layer: nn.Module, shape: tuple[int, ...], rewrites: int) -> None:
    assert apply(layer, shape, decomposing(Format.ONNX))[1].rewrites == rewrites


@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE])
@pytest.mark.parametrize("padding", [0, 1])
def test_a_divisor_of_its_own(format: Format, padding: int) -> None:
    module, log = apply(nn.AvgPool2d(3, 2, padding, divisor_override=5), (2, 3, 8, 9), decomposing(format))
    (pool,) = [node for node in module.graph.nodes if node.target is aten.avg_pool2d.default]
    assert log.rewrites == 1
    assert 5 not in pool.args


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_padding_that_does_not_count(ceil_mode: bool) -> None:
    layer = nn.AvgPool2d((3, 4), (2, 3), (1, 2), ceil_mode=ceil_mode, count_include_pad=False)
    _, log = apply(layer, (2, 3, 8, 9), decomposing(Format.TFLITE))
    assert log.rewrites == 1
    assert apply(nn.AvgPool2d(2, count_include_pad=False), (1, 2, 4, 4), decomposing(Format.TFLITE))[1].rewrites == 0


@pytest.mark.parametrize(
    "layer",
    [
        nn.AvgPool3d((2, 3, 2), (1, 2, 2), (1, 1, 0)),
        nn.MaxPool3d((2, 3, 2), (1, 2, 2), (1, 1, 0)),
        nn.MaxPool3d(2),
        nn.AdaptiveAvgPool3d((2, 3, 1)),
        nn.AdaptiveAvgPool3d((3, 2, 5)),
    ],
)
def test_volumes_are_pooled_over_two_axes_at_a_time(layer: nn.Module) -> None:
    module, log = apply(layer, (2, 3, 4, 6, 8), decomposing(Format.PTE))
    assert (log.rewrites, calls(module, *POOLS_3D)) == (1, 0)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.MaxPool3d(2, dilation=2), "its windows have holes or are cut off by the border"),
        (nn.AvgPool3d(3, padding=1, count_include_pad=False), "its windows are not all alike"),
    ],
)
def test_other_volumes_stay_and_it_is_said(layer: nn.Module, why: str) -> None:
    _, log = apply(layer, (1, 2, 4, 6, 8), decomposing(Format.TFLITE))
    assert [row.why for row in log.refused] == [why]


@pytest.mark.parametrize(("dims", "shape"), [(1, (2, 3, 8)), (2, (2, 3, 8, 6)), (3, (2, 3, 4, 6, 4))])
def test_unpooling_is_a_scatter(dims: int, shape: tuple[int, ...]) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        values, places = m["pool"](x)
        return m["back"](values * 2, places)

    pool = getattr(nn, f"MaxPool{dims}d")(2, return_indices=True)
    layer = Lambda(forward, pool=pool, back=getattr(nn, f"MaxUnpool{dims}d")(2))
    module, log = apply(layer, shape, decomposing(Format.ONNX))
    assert (log.rewrites, calls(module, aten.scatter.src)) == (1, 1)
