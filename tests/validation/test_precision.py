"""How the precision of what was measured is named."""

import pytest
from report_records import run_of, three_precisions

from validation.precision import precision_of, tells_precision


def test_a_record_tells_its_precision_by_its_recipe() -> None:
    assert [precision_of(run) for run in three_precisions()] == ["fp32", "int8 dynamic", "int8 static"]
    assert precision_of(run_of("a.onnx", 30.0)) is None


@pytest.mark.parametrize(
    ("precisions", "told"),
    [([], False), (["fp32", None], False), (["fp16"], True), (["fp32", "int8 static"], True), ([None], False)],
)
def test_float32_alone_is_not_worth_a_column(precisions: list[str | None], told: bool) -> None:
    assert tells_precision(precisions) is told
