"""Copies of modules on which things hang that Python does not copy."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from edgevit.errors import ExportError
from export.eager.copies import independent_copy


class Hung(nn.Module):
    """A cache that gradients went through, a lock, a generator, a hook that is a method, and an old weight norm."""

    def __init__(self) -> None:
        super().__init__()
        with pytest.warns(FutureWarning, match="deprecated"):
            self.conv = nn.utils.weight_norm(nn.Conv2d(3, 3, 1))
        self.cache = {"double": [self.conv.bias * 2]}
        self.sub = nn.Linear(2, 2)
        self.sub.state = [threading.RLock(), self.cache["double"][0]]
        self.numbers = (number for number in range(3))
        self.calls = 0
        self.register_forward_hook(self.count)

    def count(self, module: nn.Module, given: object, result: object) -> None:
        self.calls += 1

    def forward(self, x: Tensor) -> dict[str, object]:
        with self.sub.state[0]:
            return {"y": self.conv(x) + self.cache["double"][0][:, None, None], "none": None}


def test_what_hangs_on_a_module_goes_along_and_the_module_stays() -> None:
    model = Hung().train()
    copied = independent_copy(model)
    image = torch.ones(1, 3, 4, 4)
    (seen,) = copied(image)
    torch.testing.assert_close(seen, model.eval()(image)["y"].detach())
    assert copied.cache["double"][0] is copied.sub.state[1] is not model.cache["double"][0]
    assert not copied.cache["double"][0].requires_grad and model.cache["double"][0].requires_grad
    assert (copied.calls, model.calls) == (1, 1)
    assert copied.sub.state[0] is model.sub.state[0]
    assert not copied.training and model.sub.training is False
    assert not any(parameter.requires_grad for parameter in copied.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_tied_weights_stay_one() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    copied = independent_copy(model)
    assert isinstance(copied, nn.Sequential)
    assert copied[1].weight is copied[0].weight is not model[0].weight


def test_parameters_without_shape_or_values_are_named() -> None:
    with pytest.raises(ExportError, match=r"parameters without a shape: 0\.weight, 0\.bias") as caught:
        independent_copy(nn.Sequential(nn.LazyLinear(3)))
    assert caught.value.hint == "run the network once on an example before the export"
    with torch.device("meta"):
        empty = nn.Linear(2, 2)
    with pytest.raises(ExportError, match="without values, on the device 'meta': weight, bias"):
        independent_copy(empty)
