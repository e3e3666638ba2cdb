"""Random weights: the same for a seed everywhere and for good, and as busy as trained ones."""

from __future__ import annotations

import pytest
import torch
from edgevit_tiny import tiny

from edgevit.build import build_model
from edgevit.spec import Task

SIZE = (64, 64)


HEAD_BIAS = [0.10360713, -0.12029309, -0.23158556]


RUNNING_VAR = [1.92071462, 1.38486576, 1.64308250]


def test_a_seed_gives_the_same_weights_and_leaves_the_callers_generator_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, _ = build_model(tiny(), input_size=SIZE, seed=3)
    assert torch.equal(torch.rand(3), expected)
    second, _ = build_model(tiny(), input_size=SIZE, seed=3)
    other, _ = build_model(tiny(), input_size=SIZE, seed=4)
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in first.state_dict().items())
    assert not torch.equal(first.head.weight, other.head.weight)


def test_features_carry_the_classifiers_weights() -> None:
    classify, _ = build_model(tiny(), input_size=SIZE)
    features, _ = build_model(tiny(), task=Task.FEATURES, input_size=SIZE)
    assert all(torch.equal(tensor, classify.state_dict()[name]) for name, tensor in features.state_dict().items())


def test_random_weights_are_recorded_for_good() -> None:
    """A manifest says only "seed 0": another version of this code must give the same weights."""
    model, _ = build_model(tiny(), input_size=SIZE, num_classes=3)
    torch.testing.assert_close(model.head.bias, torch.tensor(HEAD_BIAS), rtol=0, atol=1e-7)
    torch.testing.assert_close(model.norm.running_var[:3], torch.tensor(RUNNING_VAR), rtol=0, atol=1e-7)


@pytest.mark.parametrize("variant", ["xxs", "s"])
def test_random_weights_are_busy_and_bounded(variant: str) -> None:
    model, spec = build_model(variant)
    for name, tensor in model.state_dict().items():
        assert tensor.numel() == 1 or tensor.float().std() > 1e-3, name
    image = torch.randn(spec.inputs[0].shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(image)
    assert 0.3 < logits.std() < 10
