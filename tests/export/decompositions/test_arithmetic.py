"""Activations, norms and products are the same in plain arithmetic; ``pass_rig`` compares with eager float64."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, apply, calls, decomposing
from torch import Tensor, nn
from torch.nn import functional

from export.recipe import Format

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("layer", "format", "gone"),
    [
        (nn.RMSNorm(6), Format.PTL, aten.rms_norm.default),
        (nn.RMSNorm([5, 6], eps=0.1, elementwise_affine=False), Format.ONNX, aten.rms_norm.default),
        (nn.Threshold(0.1, 0.7), Format.ONNX, aten.threshold.default),
        (nn.RReLU(0.1, 0.5), Format.TFLITE, aten.rrelu.default),
        (nn.RReLU(), Format.PTE, aten.rrelu.default),
        (nn.GELU("tanh"), Format.PTE, aten.gelu.default),
        (nn.GroupNorm(2, 4, eps=0.1), Format.PTE, aten.group_norm.default),
        (nn.GroupNorm(4, 4, affine=False), Format.PTE, aten.group_norm.default),
        (nn.InstanceNorm2d(4, affine=True, eps=0.1), Format.PTE, aten.instance_norm.default),
        (nn.InstanceNorm2d(4), Format.PTE, aten.instance_norm.default),
    ],
)
def test_it_is_the_same_without_the_call(layer: nn.Module, format: Format, gone: object) -> None:
    module, log = apply(layer, (2, 4, 5, 6), decomposing(format))
    assert (log.rewrites, calls(module, gone)) == (1, 0)


@pytest.mark.parametrize(
    ("layer", "format"),
    [
        (nn.GELU(), Format.PTE),
        (nn.InstanceNorm2d(4, track_running_stats=True), Format.PTE),
        (nn.GELU("tanh"), Format.PTL),
    ],
)
def test_what_the_format_has_stays(layer: nn.Module, format: Format) -> None:
    assert apply(layer, (2, 4, 5, 6), decomposing(format))[1].rewrites == 0


def test_the_first_mean_of_a_flat_channel_is_taken_away() -> None:
    """A flat channel has the variance 0: what its mean is off is divided by sqrt(eps)."""
    torch.manual_seed(0)
    layer = nn.InstanceNorm2d(3)
    module, _ = apply(layer, (1, 3, 9, 7), decomposing(Format.PTE))
    flat = torch.rand(1, 3, 1, 1, dtype=torch.float64).expand(1, 3, 9, 7).float()
    assert module.float()(flat).abs().max() < 1e-6


@pytest.mark.parametrize(("rank", "rewrites"), [(4, 0), (5, 1)])
def test_powers_of_five_axes(rank: int, rewrites: int) -> None:
    layer = Lambda(lambda m, x: (x.abs() + 0.1) ** 0.75)
    assert apply(layer, (2, 3, 2, 4, 3)[:rank], decomposing(Format.TFLITE))[1].rewrites == rewrites


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2, 6), (2, 5, 6)])
def test_bilinear(shape: tuple[int, ...], bias: bool) -> None:
    layer = Lambda(lambda m, x: m["b"](x, x[..., :4] + 1), b=nn.Bilinear(6, 4, 3, bias=bias))
    module, log = apply(layer, shape, decomposing(Format.PTE))
    assert (log.rewrites, calls(module, aten.bilinear.default)) == (1, 0)


def test_bilinear_with_a_computed_weight_stays() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return functional.bilinear(x, x, x.repeat(3, 1).reshape(3, 2, 2).relu())

    _, log = apply(Lambda(forward), (2, 2), decomposing(Format.PTE))
    assert [row.why for row in log.refused] == ["its weight is computed, or a size is free"]


@pytest.mark.parametrize("power", [2.0, 1.0, float("inf"), 3.0])
def test_distances(power: float) -> None:
    layer = Lambda(lambda m, x: torch.cdist(x, x[:, :3] + 1, power))
    module, log = apply(layer, (2, 4, 5), decomposing(Format.ONNX))
    assert (log.rewrites, calls(module, aten.cdist.default)) == (1, 0)


@pytest.mark.parametrize("keepdim", [True, False])
def test_distances_of_pairs(keepdim: bool) -> None:
    layer = Lambda(lambda m, x: functional.pairwise_distance(x, x.flip(1), 3, eps=0.1, keepdim=keepdim))
    module, log = apply(layer, (2, 4, 5), decomposing(Format.ONNX))
    assert (log.rewrites, calls(module, aten.pairwise_distance.default)) == (1, 0)
