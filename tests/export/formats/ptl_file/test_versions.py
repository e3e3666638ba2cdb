"""Which PyTorch Mobile runs a ``.ptl`` file, and which operators are refused whatever runtime there is."""

from __future__ import annotations

import re

import pytest

from export.formats.ptl_file.versions import lowest_mobile, since, why_not_standard


def test_the_youngest_of_bytecode_and_operators_decides() -> None:
    assert lowest_mobile(4, ["aten::relu"]) == "1.8"
    assert lowest_mobile(4, ["aten::relu", "aten::native_dropout"]) == "1.11"
    assert lowest_mobile(8, ["aten::pixel_unshuffle"]) == "1.13"
    assert lowest_mobile(99, []) == "2.1"
    assert since("aten::unflatten.int") == "1.13"


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        ("acme::fast", "a custom operator"),
        ("aten::from_file", "it opens files"),
        ("aten::set_.source_Storage", "it replaces a tensor's memory"),
        ("aten::normal_", "random state"),
        ("prim::Print", "it prints"),
        ("aten::rms_norm", r"younger than the last stock mobile runtime \(2\.1\.0\)"),
    ],
)
def test_operators_that_are_refused_say_why(operator: str, reason: str) -> None:
    why = why_not_standard(operator)
    assert why is not None
    assert re.search(reason, why)


@pytest.mark.parametrize("operator", ["aten::conv2d", "prim::TupleUnpack", "aten::mean.dim", "quantized::linear"])
def test_what_the_stock_runtime_has_is_standard(operator: str) -> None:
    assert why_not_standard(operator) is None
