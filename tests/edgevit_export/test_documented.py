"""What docs/cli.md says of JSON and errors is what the commands print."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from edgevit import errors
from edgevit_export.__main__ import run
from edgevit_export.commands.devices import ListedDevice
from edgevit_export.commands.doctor import Diagnosis
from edgevit_export.commands.inspect import Inspection
from edgevit_export.console import Failure, FailureDocument, failure_of
from edgevit_export.workflows.export import ExportReport
from validation.latency.compare import Comparison
from validation.report.rows import ReportData

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: re.findall(r"`(\w+)`", cells[1].split(":")[0].split("(")[0])
    for line in TEXT.partition("| command |")[2].splitlines()
    if line.startswith("| ") and len(cells := line.strip("| ").split(" | ")) == 2
}


@pytest.mark.parametrize(
    ("command", "record"),
    [("`export`", ExportReport), ("`inspect`", Inspection), ("`compare`", Comparison), ("`report`", ReportData),
     ("`doctor`", Diagnosis), ("any that failed", FailureDocument)],
)  # fmt: skip
def test_records_have_the_keys_documented(command: str, record: type) -> None:
    fields = set(record.__struct_fields__)  # type: ignore[attr-defined]
    assert set(ROWS[command]) | {"schema_version"} == fields


NESTED = {"`devices`": ("devices", ListedDevice), "any that failed": ("error", Failure)}
"""Rows that also name the keys of what is listed."""


def test_the_keys_of_what_is_listed_are_documented() -> None:
    told = {
        cells[0]: re.findall(r"`(\w+)`", cells[1])
        for line in TEXT.partition("| command |")[2].splitlines()
        if line.startswith("| ") and len(cells := line.strip("| ").split(" | ")) == 2 and "`: " in cells[1]
    }
    assert set(told) == set(NESTED)
    for row, (key, record) in NESTED.items():
        assert (told[row][0], sorted(told[row][1:])) == (key, sorted(record.__struct_fields__))


@pytest.mark.parametrize(
    ("command", "words"),
    [("`models`", ["models"]), ("`devices`", ["devices", "-d", "host"]), ("`energy meters`", ["energy", "meters"])],
)
def test_listings_have_the_keys_documented(command: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("schema_version") == 1 and list(told) == ROWS[command]


def test_every_listing_is_documented() -> None:
    """All calls of ``print_records`` in the commands, by the names of their lists."""
    named = {
        (path.stem, word.arg)
        for path in (ROOT / "edgevit_export" / "commands").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print_records"
        for word in node.keywords
    }
    documented = {(row.strip("`").split()[0], key) for row, keys in ROWS.items() for key in keys}
    assert named and named <= documented


def test_the_kinds_of_errors_are_those_of_the_tree() -> None:
    listed = set(re.findall(r"`([a-z-]+)`", TEXT.partition("`kind` is the class of the error")[2].partition(";")[0]))
    kinds: set[str] = set()
    waiting = [errors.EdgevitExportError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__ == errors.__name__ and kind is not errors.EdgevitExportError:
            kinds.add(failure_of(kind("x")).kind)
    assert listed == kinds
    assert set(Failure.__struct_fields__) == set(
        re.findall(r"`(\w+)`", TEXT.partition("`error`:")[2].partition("|")[0])
    )


def test_the_examples_of_tables_fit_80_columns() -> None:
    blocks = re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 5
    assert all(len(line) <= 80 for block in blocks for line in block.splitlines())
