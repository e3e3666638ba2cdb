"""The hash of a network's tensors tells names, types, shapes and values, and nothing else."""

import torch
from torch import nn

from edgevit.sources.digest import weights_sha256


def test_every_difference_of_a_tensor_shows() -> None:
    one = nn.BatchNorm1d(4)
    known = weights_sha256(one)
    assert known == weights_sha256(nn.BatchNorm1d(4)) and len(known) == 64
    others = []
    for change in (
        lambda net: net.weight.data.__setitem__(2, 1.0000001),
        lambda net: net.half(),
        lambda net: setattr(net, "weight", nn.Parameter(torch.ones(1, 4))),
        lambda net: net.register_buffer("more", torch.zeros(1)),
        lambda net: net.num_batches_tracked.add_(1),
    ):
        net = nn.BatchNorm1d(4)
        change(net)
        others.append(weights_sha256(net))
    assert len({known, *others}) == 6


def test_views_and_modes_do_not_matter() -> None:
    net, same = nn.Linear(3, 2), nn.Linear(3, 2)
    same.load_state_dict(net.state_dict())
    same.weight.data = same.weight.data.t().contiguous().t()  # the same values, laid out otherwise
    assert weights_sha256(net.eval()) == weights_sha256(same.train())
