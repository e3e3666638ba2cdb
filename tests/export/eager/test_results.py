"""Tensors out of whatever a network returns."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, namedtuple

import pytest
import torch

from edgevit.errors import ExportError
from export.eager.results import tensors_of

A, B, C = torch.zeros(1), torch.ones(2), torch.ones(3)
Pair = namedtuple("Pair", "left right")


@dataclasses.dataclass
class Answer:
    scores: torch.Tensor
    rest: object = None


@pytest.mark.parametrize(
    "result",
    [
        (A, B, C),
        [A, (B, [C])],
        {"b": A, "a": [B, C]},
        OrderedDict(z=A, y={"x": B}, w=C),
        Pair(A, Pair(B, C)),
        Answer(A, [None, Answer(B), 3, "text", True, {"c": C}]),
    ],
)
def test_tensors_come_in_their_order_and_what_is_fixed_goes(result: object) -> None:
    assert [tensor.numel() for tensor in tensors_of(result)] == [1, 2, 3]


def test_anything_else_is_named_with_its_place() -> None:
    with pytest.raises(ExportError, match=r"its result\['maps'\]\[1\] is builtins.set: expected tensors"):
        tensors_of({"maps": [A, {1}]})
    with pytest.raises(ExportError, match=r"its result\.rest is builtins.object"):
        tensors_of(Answer(A, object()))
