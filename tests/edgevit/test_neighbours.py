"""The neighbours are the networks that the table says they are: counted, and held against what the paper prints."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast

import pytest
import torch
import torchvision_operators  # noqa: F401  # before timm

from edgevit.build import build_model
from edgevit.errors import UsageError
from edgevit.neighbours import Neighbour, find_neighbour, neighbour_of, neighbours, rivals
from edgevit.paper import paper_tables
from edgevit.spec import Network, Task
from export.multiply_adds import multiply_adds
from export.program import Program

MADE = [each for each in neighbours().values() if not each.missing]


def made(neighbour: Neighbour) -> torch.nn.Module:
    if neighbour.edgevit is not None:
        return build_model(neighbour.edgevit)[0]
    import timm

    assert neighbour.timm is not None
    model = timm.create_model(neighbour.timm, pretrained=False, **neighbour.architecture)
    assert isinstance(model, torch.nn.Module)
    return model.eval()


@pytest.mark.parametrize("neighbour", MADE, ids=lambda each: each.name)
def test_counts_are_those_of_the_network(neighbour: Neighbour) -> None:
    model = made(neighbour)
    image = torch.zeros(1, 3, neighbour.input_size, neighbour.input_size)
    program = cast("Program", SimpleNamespace(module=model, example=[image]))
    assert sum(each.numel() for each in model.parameters()) == neighbour.parameters
    assert multiply_adds(program) == neighbour.multiply_adds


def printed(number: float) -> int:
    """Digits behind the point."""
    return len(str(number).partition(".")[2])


@pytest.mark.parametrize("neighbour", [each for each in MADE if each.reported], ids=lambda each: each.name)
def test_what_differs_from_the_paper_is_said_and_nothing_else(neighbour: Neighbour) -> None:
    """Within half of the last digit that the paper prints, or named with both figures."""
    row = neighbour.reported
    assert row is not None
    assert neighbour.parameters is not None
    assert neighbour.multiply_adds is not None
    for what, counted, reported in (
        ("M parameters", neighbour.parameters / 1e6, row.params_m),
        ("G multiply-adds", neighbour.multiply_adds / 1e9, row.gflops),
    ):
        agrees = abs(counted - reported) <= 0.5 * 10.0 ** -printed(reported) + 1e-12
        assert agrees == (f" {what}" not in neighbour.differs), (what, counted, reported)
        if not agrees:
            said = [float(number) for number in re.findall(r"\d+\.\d+", neighbour.differs)]
            assert reported in said
            assert round(counted, printed(reported)) in said


def test_all_of_table_2_is_there_in_its_order() -> None:
    table = [row.model for row in paper_tables().table_2.rows]
    assert [each.model for each in neighbours().values()] == [*table, "ResNet18"]
    assert [each.model for each in neighbours().values() if each.missing] == [
        "Uniformer-Tiny*", "T2T-ViT-7", "T2T-ViT-12",
    ]  # fmt: skip
    for each in neighbours().values():
        assert (each.timm is None) + (each.edgevit is None) + (not each.missing) == 2, each.model
    large = [each.name for each in neighbours().values() if each.input_size != 224]
    assert large == ["mobilevit-xxs", "mobilevit-xs", "mobilevit-s"]


def test_rivals_are_the_parts_of_the_table() -> None:
    found = rivals()
    assert list(found) == ["EdgeViT-XXS", "EdgeViT-XS", "EdgeViT-S"]
    assert found["EdgeViT-XS"] == ("T2T-ViT-7", "MobileViT-XS", "DeiT-Tiny", "TNT-Tiny")
    assert found["EdgeViT-S"] == ("T2T-ViT-12", "PVT-v2-B1", "MobileViT-S", "LeViT-384†")
    assert len(found["EdgeViT-XXS"]) == 7


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("levit-384", "LeViT-384†"),
        ("LeViT-384†", "LeViT-384†"),
        ("timm:levit_384", "LeViT-384†"),
        ("twins-svt-tiny", "Twins-SVT-Tiny*"),
        ("xxs", "EdgeViT-XXS"),
        (" EdgeViT-S ", "EdgeViT-S"),
    ],
)
def test_names_as_people_type_them(name: str, model: str) -> None:
    assert find_neighbour(name).model == model


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="mobilevit-m") as caught:
        find_neighbour("mobilevit-m")
    assert "mobilevit-s" in f"{caught.value.message} {caught.value.hint}"


def network(variant: str, **options: str) -> Network:
    return Network(variant=variant, task=Task.CLASSIFY, num_classes=1000, options=options, weights="random, seed 0")


TWINS = '{"depths":[2,2,8,2],"embed_dims":[32,64,128,256],"num_heads":[1,2,4,8]}'


@pytest.mark.parametrize(
    ("found", "model"),
    [
        (network("xxs"), "EdgeViT-XXS"),
        (network("xxs", delegate="avg"), None),
        (network("timm:pvt_v2_b0"), "PVT-v2-B0"),
        (network("timm:pvt_v2_b0.in1k", reparameterised="no"), "PVT-v2-B0"),
        (network("timm:pvt_v2_b0", architecture='{"depths":[1]}'), None),
        (network("timm:twins_svt_small"), None),
        (network("timm:twins_svt_small", architecture=TWINS), "Twins-SVT-Tiny*"),
        (network("pvt_v2_b0"), None),
        (network("Uniformer-Tiny*"), None),
    ],
)
def test_networks_are_told_by_what_they_are_made_of(found: Network, model: str | None) -> None:
    neighbour = neighbour_of(found)
    assert (None if neighbour is None else neighbour.model) == model


def test_another_head_is_another_network() -> None:
    other = Network(variant="xxs", task=Task.CLASSIFY, num_classes=10, weights="random, seed 0")
    maps = Network(variant="xxs", task=Task.FEATURES, num_classes=None, weights="random, seed 0")
    assert neighbour_of(other) is None
    assert neighbour_of(maps) is None
