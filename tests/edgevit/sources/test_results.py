"""The tensors of any result, in the order of torch's own pytrees, which capture and reference use."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from edgevit.errors import UsageError
from edgevit.sources.results import named_tensors

A, B, C = (torch.full((2, size), float(size)) for size in (1, 2, 3))


@dataclass
class Pair:
    first: Tensor
    second: Tensor | None
    third: Tensor


@pytest.mark.parametrize(
    ("result", "names"),
    [
        (A, ["out"]),
        ([A], ["out"]),
        ((A, B), ["out1", "out2"]),
        ({"b": B, "a": A}, ["b", "a"]),
        (OrderedDict(z=A, y=[B, C]), ["z", "y_1", "y_2"]),
        ((A, {"x": B}), ["out1", "out2_x"]),
        ({"a": {"b": A}, "a_b": B}, ["a_b", "a_b_"]),
        (Pair(A, None, C), ["first", "third"]),
        ({"a b": A, "a\n": B, "\x1b": C}, ["a_b", "a_", "_"]),
    ],
)
def test_names_and_order(result: object, names: list[str]) -> None:
    found = named_tensors(result, "out")
    assert [name for name, _ in found] == names
    assert all(one is other for (_, one), other in zip(found, tree_leaves(result), strict=True))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ((), "forward returns nothing"),
        (None, "forward returns NoneType for its result"),
        ({"a": A, "loss": 0.5}, "forward returns float for loss"),
        ((A, "b"), "forward returns str for 2"),
    ],
)
def test_what_is_no_tensor(result: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        named_tensors(result, "out")
