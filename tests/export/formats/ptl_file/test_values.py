"""What the pickles of a lite program may name, and what their types may be."""

from __future__ import annotations

import pytest

from export.formats.ptl_file.values import (
    CALLS,
    NATIVE_CLASSES,
    Items,
    Object,
    PickleError,
    Table,
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
