"""Which PyTorch Mobile runs a ``.ptl`` file, and which operators are refused whatever runtime there is."""

from __future__ import annotations

import re

import pytest
import torch

from export.formats.ptl_file.versions import arity, operator_table, why_not_standard


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        ("acme::fast", "a custom operator"),
        ("aten::from_file", "it opens files"),
        ("aten::save", "it opens files"),
        ("aten::set_.source_Storage", "it replaces a tensor's memory"),
        ("aten::resize_", "it replaces a tensor's memory"),
        ("aten::empty.memory_format", "memory that nobody has written"),
        ("aten::new_empty", "memory that nobody has written"),
        ("aten::manual_seed", "random state"),
        ("aten::rand_like", "random state"),
        ("aten::bernoulli.p", "random state"),
        ("aten::wait", "beside the network"),
        ("prim::rpc_sync", "calls other processes"),
        ("aten::_print", "it prints"),
        ("aten::warn", "it prints"),
        ("aten::add.out", "not among the operators of PyTorch 2.1.0"),
        ("aten::_cudnn_rnn", "not among the operators of PyTorch 2.1.0"),
        ("mkldnn::_convolution", "a custom operator"),
        ("aten::normal_", "random state"),
        ("prim::Print", "it prints"),
        ("aten::rms_norm", r"younger than the last stock mobile runtime \(2\.1\.0\)"),
    ],
)
def test_operators_that_are_refused_say_why(operator: str, reason: str) -> None:
    why = why_not_standard(operator)
    assert why is not None
    assert re.search(reason, why)


@pytest.mark.parametrize(
    "operator",
    ["aten::conv2d", "prim::TupleUnpack", "aten::mean.dim", "quantized::linear", "aten::dropout", "aten::add_.Scalar"],
)
def test_what_the_stock_runtime_has_is_standard(operator: str) -> None:
    assert why_not_standard(operator) is None


SCHEMAS = {
    f"{schema.name}.{schema.overload_name}" if schema.overload_name else schema.name: schema
    for schema in torch._C._jit_get_all_schemas()
}
VARYING = {"aten::format", "prim::TupleUnpack"}


def test_the_counts_of_the_table_are_those_of_torch() -> None:
    """Only of those operators that this build of torch has; XNNPACK's are not among them."""
    known = {name: counts for name, counts in arity().items() if name in SCHEMAS and name not in VARYING}
    assert len(known) > 1600
    assert {name for name in arity() if name not in SCHEMAS} == {
        f"prepacked::{name}_clamp_{what}"
        for name in ("linear", "conv2d", "conv2d_transpose")
        for what in ("run", "prepack")
    }
    seen = {name: (len(SCHEMAS[name].arguments), len(SCHEMAS[name].returns)) for name in known}
    assert {name: counts for name, counts in known.items() if seen[name] != counts} == {}


def test_nothing_in_the_table_takes_more_than_tensors_and_plain_values() -> None:
    beyond = {"Storage", "StorageType", "Stream", "Future", "RRef", "Await", "PyObject", "Capsule"}
    idle = operator_table().idle
    for name in arity().keys() & SCHEMAS.keys() - VARYING:
        schema = SCHEMAS[name]
        kinds = {word for argument in schema.arguments for word in re.findall(r"\w+", str(argument.type))}
        assert not kinds & beyond, name
        assert "Generator" not in kinds or name in idle, name
        assert not any(argument.is_out for argument in schema.arguments), name


def test_the_switches_of_idle_operators_are_where_the_table_says() -> None:
    for name, place in operator_table().idle.items():
        assert SCHEMAS[name].arguments[place].name in {"train", "training", "dropout_p"}, name


@pytest.mark.parametrize(
    "words",
    ["rand", "seed", "from_file", "save", "set_data", "resize", "empty", "print", "warn", "fork", "rpc", "cuda_",
     "bernoulli", "multinomial", "Generator", "profil", "pin_memory", "sparse_", "backward"],
)  # fmt: skip
def test_no_name_in_the_table_tells_of_the_system(words: str) -> None:
    assert [name for name in arity() if words in name] == []
