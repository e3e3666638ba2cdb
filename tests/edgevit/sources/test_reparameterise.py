"""Branches are joined only where the network offers it and answers as before."""

from __future__ import annotations

import torchvision_operators  # noqa: F401

# isort: split
import pytest
import torch
from torch import Tensor, nn

from edgevit.sources.reparameterise import reparameterised

IMAGE = (torch.linspace(-1, 1, 3 * 8 * 8).reshape(1, 3, 8, 8),)


class Branches(nn.Module):
    """Two convolutions that ``fuse`` makes one of; ``wrong`` loses the second."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) + self.two(x)

    def fuse(self) -> nn.Module:
        if self.kind == "broken":
            raise AttributeError("no such branch")
        joined = nn.Conv2d(3, 4, 1)
        with torch.no_grad():
            other = 0 if self.kind == "wrong" else 1
            joined.weight.copy_(self.one.weight + other * self.two.weight)
            joined.bias.copy_(self.one.bias + other * self.two.bias)  # type: ignore[union-attr,operator]
        return joined


def test_what_answers_as_before_is_taken() -> None:
    model = nn.Sequential(Branches("right")).eval()
    joined, said = reparameterised(model, IMAGE)
    assert said == "yes" and isinstance(joined[0], nn.Conv2d) and isinstance(model[0], Branches)
    torch.testing.assert_close(joined(*IMAGE), model(*IMAGE))
    assert not joined.training and not any(parameter.requires_grad for parameter in joined.parameters())


@pytest.mark.parametrize("kind", ["wrong", "broken"])
def test_what_answers_otherwise_or_fails_is_left(kind: str) -> None:
    model = nn.Sequential(Branches(kind)).eval()
    assert reparameterised(model, IMAGE) == (model, "")


def test_a_network_without_branches_is_left() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1)).eval()
    assert reparameterised(model, IMAGE) == (model, "")
