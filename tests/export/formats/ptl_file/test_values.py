"""What the pickles of a lite program may name, and what their types may be."""

from __future__ import annotations

import pytest

from export.formats.ptl_file.values import (
    CALLS,
    NATIVE_CLASSES,
    Items,
    Object,
    Opaque,
    PickleError,
    Table,
    Value,
    built,
    known_name,
    type_problem,
)


@pytest.mark.parametrize(
    "kind",
    ["Tensor", "List[int]", "Optional[Tensor]", "Dict[str, Tensor]", "Tuple[Tensor, List[Tensor]]", "__torch__.a.B",

     "__torch__.torch.classes.xnnpack.Conv2dOpContext",
     "List[__torch__.torch.classes.quantized.LinearPackedParamsBase]"],
)  # fmt: skip
def test_types_of_networks_pass(kind: str) -> None:
    assert type_problem(kind) is None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("", "no name"), ("List[", "no name"), ("a;b", "no name"), ("x" * 1001, "no name"), (7, "no name"),
        ("List[int]\n", "no name"), ("__torch__.torch.classes.dist_rpc.X", "a class in C++"),
        ("Optional[__torch__.torch.classes.tensorexpr.X]", "a class in C++"),
    ],
)  # fmt: skip
def test_other_types_say_what_is_wrong(kind: str | int, words: str) -> None:
    problem = type_problem(kind)
    assert problem is not None and words in problem


@pytest.mark.parametrize(
    ("module", "name"),
    [("torch", "load"), ("torch", "Tensor"), ("torch._utils", "_rebuild_sparse_tensor"), ("builtins", "eval"),
     ("torch._tensor", "_rebuild_from_type_v2"), ("torch.distributed.rpc", "rref"), ("__main__", "TensorID"),
     ("torch.jit._pickle", "build_tensor_from_id"), ("__torch__.torch.classes.rpc", "X"), ("__torch__x", "M")],
)  # fmt: skip
def test_other_names_are_refused(module: str, name: str) -> None:
    with pytest.raises(PickleError, match="which no lite program needs"):
        known_name(module, name)


def test_names_that_torch_writes_are_known_and_each_function_has_its_rule() -> None:
    for full in ("torch.FloatStorage", "torch._utils._rebuild_tensor_v2", "collections.OrderedDict", *NATIVE_CLASSES):
        module, _, name = full.rpartition(".")
        found = known_name(module, name)
        assert (found.module, found.name) == (module, name)
        assert full in NATIVE_CLASSES or name in CALLS
    with pytest.raises(PickleError, match="is called"):
        CALLS["FloatStorage"](())


def test_an_object_takes_its_attributes_and_nothing_more() -> None:
    state = Table({"a": 1, "b": Items([2])})
    made = built("__torch__.M", state)
    assert isinstance(made, Object) and made.slots is not None and made.slots[0] == 1 and state.taken
    for wrong in ((), Items(), Table({3: 1}), None):
        with pytest.raises(PickleError, match="restored by code of its own"):
            built("__torch__.M", wrong)


WEIGHT, BIAS = Opaque("tensor", (8, 2, 7, 7)), Opaque("tensor", (8,))


def conv_state(**changed: Value) -> tuple[Value, ...]:
    """What torch 2.1.0 stores of a convolution of 4 to 8 channels in 2 groups with a hardtanh behind it."""
    state: dict[str, Value] = {
        "weight": WEIGHT, "bias": BIAS, "stride": Items([2, 1]), "padding": Items([3, 2]), "dilation": Items([1, 1]),
        "groups": 2, "least": -0.3, "most": 0.4,
    }  # fmt: skip
    return tuple((state | changed).values())


def test_prepacked_weights_are_made_of_what_torch_stores() -> None:
    kind = "__torch__.torch.classes.xnnpack."
    for name, state in (
        ("Conv2dOpContext", conv_state()),
        ("Conv2dOpContext", conv_state(bias=None, least=None, most=6)),
        ("LinearOpContext", (Opaque("tensor", (6, 14)), Opaque("tensor", (6,)), None, None)),
        ("TransposeConv2dOpContext", (Opaque("tensor", (8, 1, 2, 2)), Opaque("tensor", (4,)), Items([2, 2]),
                                      Items([0, 0]), Items([1, 0]), Items([1, 1]), 4, None, None)),
    ):  # fmt: skip
        found = built(kind + name, state)
        assert isinstance(found, Object) and found.slots is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"weight": Opaque("tensor", (8, 98))}, "no tensor of 4 axes"), ({"weight": 3}, "no tensor of 4 axes"),
        ({"weight": Opaque("tensor", (8, 0, 7, 7))}, "no tensor of 4 axes"),
        ({"bias": Opaque("tensor", (7,))}, "no tensor of 8 numbers"), ({"bias": 1.5}, "no tensor of 8 numbers"),
        ({"stride": Items([0, 1])}, "stride that is no two numbers of 1"), ({"stride": Items([1])}, "stride"),
        ({"padding": Items([-1, 0])}, "padding that is no two numbers of 0"), ({"dilation": 1}, "dilation"),
        ({"padding": Items([2**40, 0])}, "padding"), ({"stride": Items([True, 1])}, "stride"),
        ({"groups": 0}, "groups"), ({"groups": 3}, "groups"), ({"groups": None}, "groups"),
        ({"least": "0"}, "limits"), ({"most": False}, "limits"), ({"more": None}, "not the 8 values"),
    ],
)  # fmt: skip
def test_prepacked_weights_are_not_made_of_anything_else(changed: dict[str, Value], words: str) -> None:
    with pytest.raises(PickleError, match=words):
        built("__torch__.torch.classes.xnnpack.Conv2dOpContext", conv_state(**changed))
