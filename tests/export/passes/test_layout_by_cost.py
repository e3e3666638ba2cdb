"""Which images have their channels last, and that they are the same images."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import Tensor, nn
from torch.nn import functional

from export.passes import canonical_views, compute_constants, layout_by_cost, sink_views
from export.patterns import aten, is_permute, operand
from export.program import TO_NCHW, TO_NHWC

STEPS = (canonical_views, sink_views, layout_by_cost)


@pytest.mark.parametrize("activation", [nn.ReLU6(), nn.Hardswish(), nn.SiLU(), nn.GELU(), nn.Identity()])
def test_a_chain_of_convolutions_stays_one(activation: nn.Module) -> None:
    """A pointwise convolution has convolutions in front and behind, with an activation and a sum between."""
    layers = {"expand": nn.Conv2d(16, 32, 1), "depth": nn.Conv2d(32, 32, 3, padding=1, groups=32)}

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["act"](m["depth"](m["act"](m["expand"](x))))
        return m["depth"](m["expand"](x + m["project"](y)))

    layers |= {"project": nn.Conv2d(32, 16, 1), "act": activation}
    module, log = apply(Lambda(forward, **layers), (1, 16, 28, 28), *STEPS)
    assert log.rewrites == 0
    assert calls(module, aten.permute.default, aten.linear.default) == 0


def test_pointwise_convolutions_between_norms_of_tokens_are_linear_layers() -> None:
    """The whole chain through the activation turns; what is left are the changes around the spatial convolutions."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["norm"](m["depth"](x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        z = m["project"](functional.gelu(m["expand"](y)))
        return m["depth"](m["norm"](z.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))

    layers = {
        "depth": nn.Conv2d(16, 16, 7, padding=3, groups=16),
        "norm": nn.LayerNorm(16),
        "expand": nn.Conv2d(16, 64, 1),
        "project": nn.Conv2d(64, 16, 1),
    }
    module, log = apply(Lambda(forward, **layers), (1, 16, 56, 56), *STEPS)
    assert "2 linear layers" in log.detail
    assert calls(module, aten.permute.default) == 2


def test_a_convolution_too_small_to_pay_for_its_reshapes_stays() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["norm"](m["depth"](x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return m["depth"](m["project"](y))

    layers = {"depth": nn.Conv2d(8, 8, 3), "norm": nn.LayerNorm(8), "project": nn.Conv2d(8, 8, 1)}
    module, _ = apply(Lambda(forward, **layers), (1, 8, 9, 9), *STEPS)
    assert calls(module, aten.linear.default) == 0


def test_an_activation_between_a_linear_layer_and_a_convolution_has_its_channels_last() -> None:
    """The runtime has no blocks there yet, and changes the layout only once, right in front of the convolution."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return m["depth"](functional.relu6(m["expand"](x).permute(0, 3, 1, 2)))

    layers = {"expand": nn.Linear(16, 32), "depth": nn.Conv2d(32, 32, 3, padding=1, groups=32)}
    module, _ = apply(Lambda(forward, **layers), (1, 28, 28, 16), canonical_views, layout_by_cost)
    (convolution,) = (node for node in module.graph.nodes if node.target is aten.conv2d.default)
    assert is_permute(operand(convolution), TO_NCHW)
    assert operand(operand(convolution)).target is aten.relu6.default


BETWEEN: dict[str, Callable[[nn.ModuleDict, Tensor], Tensor]] = {
    "activation": lambda m, x: functional.hardtanh(x, -1.0, 2.0),
    "sum with itself": lambda m, x: x + x.relu(),
    "scale per channel": lambda m, x: x * m["conv"].weight.reshape(6, 1, 1),
    "constant of two axes": lambda m, x: x + torch.arange(20, dtype=x.dtype).reshape(5, 4),
    "number": lambda m, x: x * 2.0 - 3.0,
    "zero axes": lambda m, x: x * m["conv"].weight.mean(),
    "channels joined": lambda m, x: torch.cat([x.relu(), x], 1),
    "rows joined": lambda m, x: torch.cat([x.relu(), x], -2),
    "channels taken": lambda m, x: x[:, 1:5:2].relu(),
    "rows taken": lambda m, x: x[:, :, 1:].relu(),
    "gate": lambda m, x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "pointwise": lambda m, x: functional.conv2d(x, m["conv"].weight.repeat(6, 6, 1, 1)),
}


@pytest.mark.parametrize("kind", BETWEEN)
def test_everything_between_two_norms_of_tokens_has_its_channels_last(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout_by_cost, "CALL_NS", 1.0)

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = BETWEEN[kind](m, functional.layer_norm(x.permute(0, 2, 3, 1), (6,)).permute(0, 3, 1, 2))
        return functional.layer_norm(y.permute(0, 2, 3, 1), (y.shape[1],))

    net = Lambda(forward, conv=nn.Conv2d(1, 6, 1, groups=1))
    program_steps = (compute_constants, canonical_views, sink_views, layout_by_cost)
    module, _ = apply(net, (2, 6, 5, 4), *program_steps)
    assert calls(module, aten.permute.default) <= 2, "of the input, and of a gate of one position"
    for node in module.graph.nodes:
        if node.target is aten.permute.default:
            assert node.args[0].op == "placeholder" or node.meta["val"].numel() == 12


def test_a_pooled_map_stays_a_convolution_and_a_mean_between_convolutions_is_a_pool() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["conv"](x)
        return m["conv"](y * m["gate"](y.mean((2, 3), keepdim=True)).sigmoid())

    net = Lambda(forward, conv=nn.Conv2d(4, 4, 3), gate=nn.Conv2d(4, 4, 1))
    module, _ = apply(net, (1, 4, 9, 9), *STEPS)
    assert calls(module, aten.conv2d.default) == 3
    assert calls(module, aten.adaptive_avg_pool2d.default) == 1
    assert calls(module, aten.mean.dim, aten.permute.default) == 0


def test_tokens_are_permuted_right_behind_their_convolution() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["conv"](x).flatten(2).transpose(1, 2)
        return m["conv"](m["norm"](y).transpose(1, 2).reshape(2, 4, 5, 3))

    net = Lambda(forward, conv=nn.Conv2d(4, 4, 3, padding=1), norm=nn.LayerNorm(4))
    module, _ = apply(net, (2, 4, 5, 3), *STEPS)
    first, second = (node for node in module.graph.nodes if node.target is aten.permute.default)
    assert is_permute(first, TO_NHWC) and operand(first).target is aten.conv2d.default
    assert is_permute(second, TO_NCHW)


def test_other_views_of_an_image_stay() -> None:
    """Patches of MobileViT, a flattened image, channels in two groups: nobody reads them with the channels last."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        y = m["conv"](x).relu()
        patches = y.reshape(2, 4, 3, 2, 2, 2).permute(0, 3, 5, 2, 4, 1).sum((1, 2))
        return patches.mean((1, 2)) + y.flatten(1)[:, :4] + y.reshape(2, 2, 2, 24).softmax(-1)[:, :, 0, :2].flatten(1)

    module, log = apply(Lambda(forward, conv=nn.Conv2d(4, 4, 1)), (2, 4, 6, 4), *STEPS)
    assert log.rewrites == 0
    assert calls(module, aten.linear.default) == 0
