"""ONNX's operators as data, against the schemas of the package onnx."""

from __future__ import annotations

import onnx
import pytest

from export.formats.onnx_file.operators import operator_table, version_in, why_not_standard
from export.formats.onnx_file.versions import OPSETS

NEWEST = onnx.defs.onnx_opset_version()


@pytest.mark.parametrize("opset", [1, 7, *OPSETS, NEWEST, NEWEST + 5])
def test_versions_are_those_of_onnx(opset: int) -> None:
    names = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    assert names <= operator_table().operators.keys()
    for name in names:
        try:
            schema = onnx.defs.get_schema(name, max_inclusive_version=opset)
        except onnx.defs.SchemaError:
            assert version_in(name, opset) is None, name
            assert why_not_standard(name, "", opset) == f"not in opset {opset}"
            continue
        assert version_in(name, opset) == schema.since_version, name
        dropped = why_not_standard(name, "", opset) == f"dropped in opset {opset}"
        assert dropped == schema.deprecated, name


@pytest.mark.parametrize("name", ["RandomNormal", "RandomUniformLike", "Multinomial", "Bernoulli"])
def test_random_operators_are_refused(name: str) -> None:
    assert why_not_standard(name, "", 17) == "it draws random numbers"


def test_other_domains_and_unknown_names_are_refused() -> None:
    assert "com.microsoft" in (why_not_standard("FusedConv", "com.microsoft", 17) or "")
    assert why_not_standard("Nonsense", "", 17) == "not in opset 17"
    assert why_not_standard("Conv", "", 17) is None
