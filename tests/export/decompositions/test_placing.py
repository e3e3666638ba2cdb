"""Calls that only move values are the same in slices, rows and permutes; ``pass_rig`` compares with eager float64."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, apply, calls, decomposing
from torch import Tensor, nn
from torch.nn import functional

from export.recipe import Format

aten = torch.ops.aten


@pytest.mark.parametrize(("groups", "shape"), [(2, (2, 6, 4, 3)), (3, (2, 6, 5))])
def test_channel_shuffle(groups: int, shape: tuple[int, ...]) -> None:
    module, log = apply(nn.ChannelShuffle(groups), shape, decomposing(Format.ONNX))
    assert (log.rewrites, calls(module, aten.channel_shuffle.default)) == (1, 0)


@pytest.mark.parametrize(
    ("layer", "format", "rewrites"),
    [
        (nn.Upsample(size=(11, 5), mode="nearest-exact"), Format.ONNX, 1),
        (nn.Upsample(scale_factor=(1.3, 2), mode="nearest-exact"), Format.ONNX, 1),
        (nn.Upsample(size=(11, 5)), Format.TFLITE, 1),
        (nn.Upsample(scale_factor=1.3), Format.TFLITE, 1),
        (nn.Upsample(size=(14, 24)), Format.TFLITE, 0),
        (nn.Upsample(scale_factor=2), Format.TFLITE, 0),
    ],
)
def test_nearest_rows(layer: nn.Module, format: Format, rewrites: int) -> None:
    assert apply(layer, (2, 3, 7, 8), decomposing(format))[1].rewrites == rewrites


@pytest.mark.parametrize(
    ("layer", "patches", "by_convolution"),
    [
        (nn.Fold((6, 8), 2, stride=2), 12, 0),
        (nn.Fold((6, 9), (2, 3), stride=(2, 3)), 9, 0),
        (nn.Fold((5, 6), 3, padding=1), 30, 1),
        (nn.Fold((7, 6), (3, 2), dilation=(2, 1), padding=(1, 0), stride=2), 9, 1),
        (nn.Fold((7, 7), 2, stride=2), 9, 1),
    ],
)
def test_fold(layer: nn.Fold, patches: int, by_convolution: int) -> None:
    kernel = layer.kernel_size if isinstance(layer.kernel_size, tuple) else (layer.kernel_size, layer.kernel_size)
    shape = (2, 3 * kernel[0] * kernel[1], patches)
    module, log = apply(layer, shape, decomposing(Format.ONNX))
    assert (log.rewrites, calls(module, aten.conv_transpose2d.input)) == (1, by_convolution)


def test_patches_that_do_not_overlap_stay_for_executorch() -> None:
    assert apply(nn.Fold((6, 8), 2, stride=2), (1, 8, 12), decomposing(Format.PTE))[1].rewrites == 0
    assert apply(nn.Fold((5, 6), 3, padding=1), (1, 18, 30), decomposing(Format.PTE))[1].rewrites == 1


@pytest.mark.parametrize(("shifts", "rewrites"), [((-9, 23), 1), ((3, -7), 0), ((8, 0), 0)])
def test_rolls_by_more_than_all(shifts: tuple[int, int], rewrites: int) -> None:
    layer = Lambda(lambda m, x: x.roll(shifts, (2, 3)))
    assert apply(layer, (2, 3, 8, 7), decomposing(Format.ONNX))[1].rewrites == rewrites


@pytest.mark.parametrize(
    ("edges", "mode", "rewrites"),
    [
        ((1, -2, 3, 0), "constant", 1),
        ((-1, -2), "constant", 1),
        ((1, 2), "constant", 0),
        ((1, 2, 3, 0), "circular", 1),
        ((0, 2, 0, 0), "circular", 1),
        ((1, 2), "reflect", 0),
    ],
)
def test_padding(edges: tuple[int, ...], mode: str, rewrites: int) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return functional.pad(x, edges, mode=mode, **({"value": 0.5} if mode == "constant" else {}))

    shape = (2, 3, 6, 7) if mode != "reflect" else (2, 3, 7)
    module, log = apply(Lambda(forward), shape, decomposing(Format.PTE))
    assert log.rewrites == rewrites
    assert all(min(node.args[1]) >= 0 for node in module.graph.nodes if node.target is aten.constant_pad_nd.default)


def test_a_number_made_in_forward_is_a_copy() -> None:
    module, log = apply(Lambda(lambda m, x: x + torch.tensor(2.0)), (2, 3), decomposing(Format.ONNX))
    assert (log.rewrites, calls(module, aten.lift_fresh_copy.default)) == (1, 0)


@pytest.mark.parametrize("format", Format)
def test_memory_that_nobody_has_written_is_zeros(format: Format) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        made = [torch.empty(2, 3, dtype=x.dtype), torch.empty_like(x), x.new_empty(2, 3)]
        return sum((each.mul(0).nan_to_num() for each in made), x)

    empties = (aten.empty.memory_format, aten.empty_like.default, aten.new_empty.default)
    module, log = apply(Lambda(forward), (2, 3), decomposing(format))
    assert (log.rewrites, calls(module, *empties)) == (3, 0)


def test_the_last_two_axes_in_each_others_place() -> None:
    module, log = apply(Lambda(lambda m, x: x.mT * 2), (2, 3, 4), decomposing(Format.ONNX))
    assert (log.rewrites, calls(module, aten.mT.default)) == (1, 0)
