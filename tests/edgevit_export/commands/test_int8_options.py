"""The options of int8: which recipes they give, what is refused, and what is said of the layers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgevit.errors import UsageError
from edgevit_export.commands.export_options import ExportOptions
from edgevit_export.commands.int8_options import asked_precisions, for_int8, print_layer_table, summary
from export.int8.record import LayerKind, LayerRecord, QuantizationRecord, Scheme
from export.recipe import Precision

STATIC = LayerRecord(
    name="linear_1", module="stages.0.fc", kind=LayerKind.LINEAR, weights=1000, scheme=Scheme.STATIC, sqnr_db=40.25
)
WORSE = msgspec.structs.replace(STATIC, module="stages.1.fc", sqnr_db=31.0)
FLOAT = msgspec.structs.replace(STATIC, module="head", scheme=Scheme.FLOAT, sqnr_db=None, why="--keep-float head")
RECORD = QuantizationRecord(layers=(STATIC, FLOAT, WORSE), measured_on="the golden inputs")


@pytest.mark.parametrize(
    ("typed", "precisions"),
    [
        (None, [Precision.FP32]),
        (["fp32,int8"], [Precision.FP32, Precision.INT8]),
        (["int8", "fp16", "int8"], [Precision.INT8, Precision.FP16]),
    ],
)
def test_each_precision_is_asked_for_once_and_float32_by_default(
    typed: list[str] | None, precisions: list[Precision]
) -> None:
    assert list(asked_precisions(ExportOptions(precision=typed))) == precisions


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ExportOptions(precision=["int4"]), "int4"),
        (ExportOptions(precision=[","]), "names no precision: choose from fp32, fp16, int8"),
        (ExportOptions(keep_float=["head"]), "--keep-float without int8: fp32 has no use for it"),
        (
            ExportOptions(precision=["fp16"], calibration_data=Path("photos"), quantize_report=True),
            "--calibration-data, --quantize-report without int8: fp16",
        ),
        (ExportOptions(reach_sqnr=30, reach_agreement=99), "--reach-sqnr, --reach-agreement without int8"),
    ],
)
def test_what_would_be_ignored_is_refused(options: ExportOptions, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        asked_precisions(options)


def test_int8_alone_has_the_fields_and_agreement_is_a_share() -> None:
    options = ExportOptions(precision=["fp32,int8"], keep_float=["head"], reach_sqnr=30, reach_agreement=99)
    assert for_int8(options, Precision.FP32) == {}
    fields = for_int8(options, Precision.INT8)
    assert fields == {"keep_float": ("head",), "reach_sqnr_db": 30, "reach_agreement": 0.99}


def test_layers_are_counted_by_scheme_and_listed_from_the_worst_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = "3 layers: 2 static, 1 float; SQNR of each one's output alone, over the golden inputs"
    assert summary(RECORD) == words
    print_layer_table(RECORD.layers)
    _, _, *rows, _, heads, _, reason = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["stages.1.fc", "stages.0.fc", "head"]
    assert "31.0" in rows[0] and "1,000" in rows[0]
    assert (heads.split(), reason.split()) == (["layer", "why"], ["head", "--keep-float", "head"])


def test_of_layers_that_are_all_alike_no_reasons_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    print_layer_table([STATIC, WORSE])
    assert len(capsys.readouterr().out.splitlines()) == 4
