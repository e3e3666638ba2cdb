"""Networks whose code does what careful code does not, through capture, passes, every format and verification."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from awkward_networks import NETWORKS, awkward
from torch import nn

from edgevit_export import export, spec_for, verify
from export.golden import GoldenSet, make_golden
from export.recipe import Format
from validation.artifact.limits import ALLOWED

EVERYWHERE = ("Residual", "SlicesInPlace", "WithoutBatch", "Pixels")
"""Kinds that every format has to hold; the others go through the two formats that convert in a second."""
FAST = (Format.PTL, Format.ONNX)
WITH_PTE = ("DoubleBuffer", "Cached", "InfiniteMask", "Parametrised")
"""ExecuTorch had troubles of its own with these: constants of an image's channels, the softmax of an image."""


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in EVERYWHERE])
def test_it_is_exported_and_proven(name: str, tmp_path: Path) -> None:
    formats = (*FAST, Format.PTE) if name in WITH_PTE else FAST
    report = export(*awkward(name), formats, output=tmp_path)
    assert report.passed, [outcome.reasons for outcome in report.outcomes]
    for outcome in report.outcomes:
        assert not [line for line in outcome.shortfalls if "no pass ran" in line]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_format_holds_it(name: str, tmp_path: Path) -> None:
    report = export(*awkward(name), list(Format), output=tmp_path)
    assert report.passed, [outcome.reasons for outcome in report.outcomes]
    assert all(each.passed for each in verify(tmp_path))


def worst(golden: GoldenSet, faulty: torch.nn.Module) -> float:
    """How many yardsticks float64 eager is off in a network with a fault."""
    multiples = []
    with torch.no_grad():
        for name, expected in golden.outputs.items():
            seen = faulty.double()(torch.from_numpy(golden.inputs["image"]).double()).numpy()
            multiples.append(abs(seen - expected).max() / golden.yardstick[name])
    return max(multiples)


@pytest.mark.parametrize("name", ["Tied", "InfiniteMask", "WeightNormOfOld"])
def test_a_weight_that_is_off_by_a_ten_thousandth_still_fails(name: str) -> None:
    """The largest of the convolution's weights; yardsticks of such small networks must not grow over it."""
    model, spec = awkward(name)
    golden = make_golden(model, spec)
    with torch.no_grad():
        weight = max(model.conv.parameters(), key=lambda tensor: tensor.numel())
        weight.view(-1)[weight.abs().argmax()] *= 1 + 1e-4
    assert worst(golden, model.eval()) > ALLOWED.default


NORMS = {
    "group": lambda: nn.GroupNorm(2, 8),
    "instance": lambda: nn.InstanceNorm2d(8, affine=True),
    "batch": lambda: nn.BatchNorm2d(8),
}


@pytest.mark.parametrize("size", [32, 96])
@pytest.mark.parametrize("norm", NORMS)
def test_slack_for_images_of_one_colour_hides_no_fault(norm: str, size: int) -> None:
    """Behind them 8 yardsticks may be an error of 1e-3; the other images have to show what a weight is off by."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), NORMS[norm](), nn.GELU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)).eval()
    image = torch.zeros(1, 3, size, size)
    golden = make_golden(model, spec_for(model, image))
    (name,), (given,) = golden.outputs, golden.inputs.values()
    slack = golden.slack.get(name, np.ones(len(golden)))
    assert (slack > 1).sum() <= len(golden) / 2
    multiples = []
    for place in (0, 1, 3, 7):
        faulty = copy.deepcopy(model).double()
        weight = faulty[place].weight
        with torch.no_grad():
            weight.view(-1)[weight.abs().argmax()] *= 1 + 2e-3
            off = np.abs(faulty(torch.from_numpy(given).double()).numpy() - golden.outputs[name]).max(axis=1)
        multiples.append((off / (golden.yardstick[name] * slack)).max())
    assert min(multiples) > ALLOWED.default
