"""The listing of timm's names: parameters as timm counts them, sizes, tags."""

import torchvision_operators  # noqa: F401

# isort: split
import pytest
import timm

from edgevit.errors import UsageError
from edgevit.sources.timm_listing import list_timm


def test_a_few_names_with_their_parameters() -> None:
    found = {network.name: network for network in list_timm("mobilevit_*")}
    assert sorted(found) == ["mobilevit_s", "mobilevit_xs", "mobilevit_xxs"]
    counted = sum(parameter.numel() for parameter in timm.create_model("mobilevit_xxs").parameters())
    assert found["mobilevit_xxs"].parameters == counted
    assert found["mobilevit_xxs"].input == (3, 256, 256)
    assert found["mobilevit_xxs"].weights == ("cvnets_in1k",)


def test_many_names_are_not_counted() -> None:
    found = list_timm("resnet*")
    assert len(found) > 60 and all(network.parameters is None for network in found)
    (resnet18,) = (network for network in found if network.name == "resnet18")
    assert resnet18.weights[0] == "a1_in1k" and len(resnet18.weights) > 2


def test_no_name_fits() -> None:
    with pytest.raises(UsageError, match="timm has no network 'nothing"):
        list_timm("nothing*")
