"""Copies of modules that refuse to be copied, and of those that are in use."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgevit.copies import deep_copy, refuse_no_module, refuse_weights_not_there
from edgevit.errors import ExportError, UsageError


def test_a_copy_has_all_of_its_own_and_the_mode_of_the_module() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    model.kept = {"maps": [torch.ones(2)]}
    copied = deep_copy(model)
    copied.kept["maps"].append(torch.zeros(1))
    copied[0].weight.data.zero_()
    assert copied.training and len(model.kept["maps"]) == 1 and model[0].weight.any()


def test_what_is_refused_twice_is_named() -> None:
    class Never:
        def __reduce_ex__(self, protocol: object) -> str:
            raise TypeError("no copies of this")

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Linear(2, 2)
            self.part.odd = {"key": Never()}

        def __deepcopy__(self, memo: object) -> nn.Module:
            raise TypeError("the network itself is not copied")

    with pytest.raises(
        ExportError, match=r"the network itself is not copied; its attributes .*part\.odd\.key refuse it"
    ):
        deep_copy(Odd())


@pytest.mark.parametrize(
    ("value", "words"),
    [(lambda x: x, "is a function"), (nn.Linear, "is the class Linear"), (None, "is a NoneType")],
)
def test_what_is_no_module_is_told(value: object, words: str) -> None:
    refuse_no_module(nn.Identity())
    with pytest.raises(UsageError, match=f"the network {words}, expected a torch.nn.Module"):
        refuse_no_module(value)


def test_sparse_weights_are_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    refuse_weights_not_there(model)
    model[0].table = nn.Parameter(torch.eye(3).to_sparse(), requires_grad=False)
    with pytest.raises(ExportError, match=r"parameters that are not dense: 0\.table \(torch\.sparse_coo\)") as caught:
        refuse_weights_not_there(model)
    assert caught.value.hint == "call .to_dense() on them: a file holds every number of a weight"
