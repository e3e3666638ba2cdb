"""ONNX Runtime's compatibility table against onnx's own table of releases."""

from __future__ import annotations

import pytest
from onnx import helper

from export.formats.onnx_file.versions import OPSETS, RUNTIMES, lowest_runtime


def test_ir_versions_are_those_that_onnx_released_each_opset_with() -> None:
    released = {opset: ir for _, ir, opset, *_ in helper.VERSION_TABLE}
    assert all(released[opset] == ir for opset, ir, _ in RUNTIMES)


@pytest.mark.parametrize(
    ("opset", "ir", "runtime"),
    [(9, 4, "0.3"), (17, 8, "1.12"), (13, 8, "1.9"), (17, 9, "1.16"), (19, 9, "1.16"), (23, 11, "1.23")],
)
def test_the_later_of_opset_and_ir_decides(opset: int, ir: int, runtime: str) -> None:
    assert lowest_runtime(opset, ir) == runtime


@pytest.mark.parametrize(
    ("opset", "operators", "runtime"),
    [
        (11, ["Gemm", "MatMulInteger"], "1.8"),
        (13, ["QuantizeLinear", "DequantizeLinear"], "1.7"),
        (13, ["MatMulInteger", "DequantizeLinear"], "1.8"),
        (13, ["Gemm"], "1.6"),
        (17, ["MatMulInteger", "DequantizeLinear"], "1.12"),
    ],
)
def test_int8_may_need_a_later_runtime_than_its_opset(opset: int, operators: list[str], runtime: str) -> None:
    """1.6.0 and 1.7.0 refused a dynamic product with a scale for each output, 1.6.0 a static one; later ones do not."""
    assert lowest_runtime(opset, 7, operators) == runtime


def test_an_opset_alone_and_one_of_the_future() -> None:
    assert lowest_runtime(OPSETS.stop - 1) == "1.17"
    assert lowest_runtime(99, 11) == "that of opset 99, newer than 1.23"
