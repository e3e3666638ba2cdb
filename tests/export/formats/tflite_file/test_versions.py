"""The table of TFLite's builtin operators against the schema that LiteRT ships."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from export.formats.tflite_file.versions import newest, operator_table, since, why_not_standard


def test_the_operator_table_agrees_with_the_schema() -> None:
    codes = {name: code for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    assert {name: row.code for name, row in operator_table().operators.items()} == codes


def test_operator_versions() -> None:
    assert since("FULLY_CONNECTED", 9) == "2.3.0"
    assert since("BROADCAST_TO", 1) is None
    assert newest(["2.9.0", "2.14.4", "1.15.0"]) == "2.14.4"
    assert "version 99" in (why_not_standard("CONV_2D", 99, custom=False) or "")
    assert "no stock runtime" in (why_not_standard("STABLEHLO_SORT", 1, custom=False) or "")
    assert why_not_standard("CONV_2D", 1, custom=False) is None
