"""Random weights: nothing stays a constant, signals stay in range, and the same seed gives the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgevit.errors import UsageError
from edgevit.sources.noise import noise_images
from edgevit.sources.random_weights import randomise_zeros


class Switched(nn.Module):
    """A network as training begins with: everything that can be switched off is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.zero = nn.Conv2d(8, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.gamma = nn.Parameter(torch.full((8, 1, 1), 1e-6))
        self.gain = nn.Parameter(torch.zeros(()))
        self.table = nn.Parameter(torch.zeros(1, 8, 1, 1))
        self.head = nn.Linear(8, 5)
        nn.init.zeros_(self.zero.weight)
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, -4.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = self.gamma * self.norm(self.zero(x)) + self.table
        return self.head((x * self.gain).mean((2, 3)))


def deep(depth: int) -> nn.Sequential:
    """Gated by half in every layer, which lets a signal vanish unless the norms hold it."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
    for _ in range(depth):
        layers += [nn.BatchNorm2d(16), nn.Hardswish(), nn.Conv2d(16, 16, 3, padding=1, bias=False)]
    return nn.Sequential(*layers)


def test_no_parameter_keeps_one_value_and_the_rest_stay() -> None:
    torch.manual_seed(0)
    model = Switched()
    drawn = model.conv.weight.clone()
    assert randomise_zeros(model, 3) is model
    constant = [name for name, tensor in model.named_parameters() if tensor.numel() > 1 and tensor.std() == 0]
    assert constant == []
    assert torch.equal(model.conv.weight, drawn)
    assert 0.25 <= model.gain.item() <= 0.75
    assert model.gamma.min().item() >= 0.25 and model.gamma.max().item() <= 0.75
    assert model.head.bias.min().item() >= -6 and model.head.bias.max().item() <= -2
    assert model.norm.weight.min().item() >= 0.25
    assert 0.05 < model.zero.weight.std().item() * 72**0.5 < 2  # of the variance that keeps a signal
    assert float(model.norm.running_var.min()) >= 0.5 and float(model.norm.running_var.max()) <= 1.7564
    assert float(model.norm.running_mean.abs().max()) > 0


def test_a_seed_gives_the_same_and_leaves_the_global_state() -> None:
    one, same, other = (Switched() for _ in range(3))
    same.load_state_dict(one.state_dict())
    other.load_state_dict(one.state_dict())
    state = torch.random.get_rng_state()
    for model, seed in ((one, 1), (same, 1), (other, 2)):
        randomise_zeros(model, seed)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True))
    assert not torch.equal(one.gamma, other.gamma)
    with pytest.raises(UsageError, match="the seed is -1"):
        randomise_zeros(one, -1)


def test_measured_statistics_hold_a_signal_through_a_hundred_gates() -> None:
    torch.manual_seed(0)
    images = noise_images((4, 3, 16, 16))
    drawn, measured = deep(100), deep(100)
    measured.load_state_dict(drawn.state_dict())
    randomise_zeros(drawn, 0)
    randomise_zeros(measured, 0, (images,))
    with torch.no_grad():
        lost, held = drawn.eval()(images), measured.eval()(images)

    def share_of_the_image(answers: Tensor) -> float:
        return float(answers.std(0).mean() / answers.std())

    assert share_of_the_image(lost) < 0.01, "the network needs no measuring: choose another"
    assert share_of_the_image(held) > 0.1 and 0.05 < float(held.std()) < 5


def test_measuring_agrees_with_batch_norm_in_training() -> None:
    """torch's own statistics of the same batch, up to the half that all channels share and the seeded shift."""
    torch.manual_seed(0)
    model, images = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64, momentum=None)), noise_images((4, 3, 32, 32))
    with torch.no_grad():
        trained = nn.Sequential(model[0], nn.BatchNorm2d(64, momentum=None)).train()
        trained(images)
        randomise_zeros(model, 0, (images,))
    mean, variance = trained[1].running_mean, trained[1].running_var
    assert mean is not None and variance is not None
    expected = (variance + variance.mean()) / 2
    ratio = model[1].running_var / expected
    assert float(ratio.min()) >= 0.5 and float(ratio.max()) <= 1.76
    shift = (model[1].running_mean - mean) / expected.sqrt()
    assert 0.2 < float(shift.std()) < 0.4
    assert not any(module._forward_pre_hooks for module in model.modules())
