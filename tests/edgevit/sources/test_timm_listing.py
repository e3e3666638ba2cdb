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


def test_names_with_tags_and_as_model_takes_them() -> None:
    tagged = list_timm("resnet18.*")
    assert [network.name for network in tagged][:2] == ["resnet18.a1_in1k", "resnet18.a2_in1k"]
    assert all(network.weights == (network.name.partition(".")[2],) for network in tagged)
    assert tagged[0].parameters == sum(parameter.numel() for parameter in timm.create_model("resnet18").parameters())
    for asked in (
        "resnet18.a1_in1k",
        "timm:resnet18.a1_in1k",
        "timm/resnet18.a1_in1k",
        "timm:hf-hub:timm/resnet18.a1*",
    ):
        assert list_timm(asked) == tagged[:1]
    (plain,) = list_timm("timm:resnet18")
    assert plain.name == "resnet18" and len(plain.weights) > 2


@pytest.mark.parametrize(
    ("pattern", "words", "hint"),
    [
        ("nothing*", r"timm has no network 'nothing\*'", "models --timm"),
        ("", "timm has no network ''", "models --timm"),
        ("RESNET18", "no network 'RESNET18'", "did you mean timm:resnet18 "),
        ("mobilevit_zzs*", "no network", "did you mean timm:mobilevit_"),
        ("resnet18.a9", "no network 'resnet18.a9': resnet18 has a1_in1k, a2_in1k", "timm:resnet18"),
        ("timm:", "no network 'timm:'", "models --timm"),
        ("resnet18,resnet34", "no network", "one pattern at a time: edgevit-export models --timm resnet18"),
        (",", "no network ','", "models --timm"),
    ],
)
def test_no_name_fits(pattern: str, words: str, hint: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        list_timm(pattern)
    assert hint in str(caught.value.hint)
