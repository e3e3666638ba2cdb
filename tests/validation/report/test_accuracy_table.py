"""Accuracies from CSV as spreadsheets of every country write it; what is not understood is named with its line."""

from __future__ import annotations

import pytest

from edgevit.errors import ArtifactError, UsageError
from validation.report.accuracy_table import parse_table

EXPECTED = {
    "small": {"top1": 71.5, "parameters_m": 4.1, "label": "Small, fast"},
    "big": {"top1": 81.0, "parameters_m": 11.1},
}
PLAIN = 'model,top1,parameters_m,label\nsmall,71.5,4.1,"Small, fast"\nbig,81.0,11.1,\n'
FORMS = {
    "commas": PLAIN,
    "semicolons": "model;top1;parameters_m;label\nsmall;71,5;4,1;Small, fast\nbig;81,0;11,1;\n",
    "tabs": "model\ttop1\tparameters_m\tlabel\nsmall\t71.5\t4.1\tSmall, fast\nbig\t81.0\t11.1\t\n",
    "quoted fractions": 'model,top1,parameters_m,label\nsmall,"71,5","4,1","Small, fast"\nbig,"81,0","11,1",\n',
    "Excel says how": "sep=;\r\nmodel;top1;parameters_m;label\r\nsmall;71,5;4,1;Small, fast\r\nbig;81,0;11,1;\r\n",
    "lines above": f"Accuracies of June\n\n{PLAIN}",
    "remarks": PLAIN.replace("big", "# measured twice\n\nbig"),
    "headings with units": PLAIN.replace("model,top1,parameters_m", "Model,Top-1 (%),Parameters M"),
    "percent signs": PLAIN.replace("71.5", "71.5%").replace("81.0", "81.0 %"),
    "other columns first": 'label,top1,model,parameters_m\n"Small, fast",71.5,small,4.1\n,81.0,big,11.1\n',
    "an empty column at the end": 'model,top1,parameters_m,label,\nsmall,71.5,4.1,"Small, fast",\nbig,81.0,11.1,,\n',
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_every_form_says_the_same(form: str, encoding: str) -> None:
    assert parse_table(FORMS[form].encode(encoding), origin="a.csv") == EXPECTED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column 'model'"),
        ("name,top1\na,70\n", "no column 'model'"),
        ("model,top1\na,71,5\n", "line 2: 'a,71,5' has 3 cells, its heading has 2"),
        ("model,top1\na,70\nb\n", "line 3: 'b' has 1 cells"),
        ("model,top1\na,seventy\n", "line 2: 'seventy' under 'top1' is no number"),
        ("model,top1\na,70\n\na,71\n", "line 4 names 'a' a second time"),
        ("model,top1\n,70\n", "line 2 names no model"),
        ("model,top1,Top-1\na,70,71\n", "2 columns are called 'top1'"),
        ("model,top1,\na,70,more\n", "line 2: 'more' stands in a column without a heading"),
        ('model,top1\n"a,70\n', "line 2: not a row of a CSV file"),
        ("model;parameters_m\na;5,300\nb;4,100\n", "the comma in '5,300' can be a decimal mark or set thousands"),
        ("model;top1\na;70,5\nb;71.5\n", "another decimal mark"),
    ],
)
def test_what_is_not_clear_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_table(text.encode(), origin="a.csv")


def test_bytes_of_another_encoding_are_not_guessed() -> None:
    with pytest.raises(ArtifactError, match=r"no UTF-8 text: byte 19 \(line 2\)"):
        parse_table(b"model,label\nfoo,Gr\xf6\xdfe\n", origin="a.csv", failure=ArtifactError)
