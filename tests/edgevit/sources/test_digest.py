"""The hash of a network's tensors tells names, types, shapes and values, and nothing else."""

import msgspec
import pytest
import torch
from torch import nn

from edgevit.errors import UsageError
from edgevit.sources.digest import refuse_other_weights, weights_sha256
from edgevit.sources.spec_for import spec_for
from edgevit.spec import Weights


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


def test_a_spec_that_speaks_of_other_weights_is_refused() -> None:
    model = nn.Linear(3, 2)
    spec = spec_for(model, torch.zeros(1, 3))
    refuse_other_weights(model, spec)
    with torch.no_grad():
        model.weight.mul_(2)
    with pytest.raises(
        UsageError, match=r"the weights have the SHA-256 \w{12}\.\.\., those that the spec of linear"
    ) as caught:
        refuse_other_weights(model, spec)
    assert str(spec.weights.sha256)[:12] in caught.value.message and weights_sha256(model)[:12] in caught.value.message
    assert caught.value.hint == "spec = spec_for(model, example), after the last change of the weights"
    refuse_other_weights(model, spec_for(model, torch.zeros(1, 3)))
    for other in (Weights(source="random", seed=0, sha256="0" * 64), Weights(source="module")):
        refuse_other_weights(model, msgspec.structs.replace(spec, weights=other))
