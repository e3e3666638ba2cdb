"""What artifacts are: from manifests where there are some, and no more than is known."""

import msgspec
import pytest
from report_records import PARITY, SHARE, artifact_row, run_of, sha_of

from export.artifact import Delegation, Piece
from export.recipe import Format, Recipe
from validation.report.contents import artifact_columns, artifact_rows, brief_columns, delegation_words
from validation.report.entries import ModelFacts, joined_entries
from validation.report.results import Results

FACTS = ModelFacts(recipe=Recipe(format=Format.TFLITE), operators=397, delegation=SHARE, parity=PARITY)


def test_each_file_has_one_row_whatever_it_was_run_with() -> None:
    runs = [run_of("b.tflite", 30.0), run_of("b.tflite", 20.0, threads=2), run_of("a.onnx", 40.0)]
    rows = artifact_rows(joined_entries(Results(runs=runs), {sha_of("b.tflite"): FACTS}))
    assert [row.artifact for row in rows] == ["a.onnx", "b.tflite"]
    known, unknown = rows[1], rows[0]
    assert (known.operators, known.delegation, known.parity, known.precision) == (397, SHARE, PARITY, "fp32")
    assert (unknown.operators, unknown.delegation, unknown.parity, unknown.precision) == (None, None, None, None)
    assert unknown.size_bytes == runs[2].artifact.size_bytes


def test_columns_say_size_operators_share_and_parity() -> None:
    plain = artifact_row("a.onnx", "ab", delegation=None)
    columns = {column.title: column.cells for column in artifact_columns([artifact_row("a.tflite", "cd"), plain])}
    assert columns == {
        "artifact": ("a.tflite", "a.onnx"), "precision": ("fp32", "fp32"), "MB": ("16.3", "16.3"),
        "operators": ("397", "397"), "delegated": ("99.7 % (396 of 397)", "-"), "partitions": ("2", "-"),
        "parity": ("passed: 2.36 x yardstick", "passed: 2.36 x yardstick"),
    }  # fmt: skip
    failed = msgspec.structs.replace(plain, parity=msgspec.structs.replace(PARITY, passed=False))
    assert {c.title: c.cells for c in artifact_columns([failed])}["parity"] == ("failed: 2.36 x yardstick",)
    assert "delegated" not in {column.title for column in artifact_columns([plain])}


def test_on_a_console_the_columns_are_few_and_narrow() -> None:
    rows = [artifact_row("edgevit-xxs-224x224.tflite", "cd"), artifact_row("a.onnx", "ab", delegation=None)]
    columns = {column.title: column.cells for column in brief_columns(rows)}
    assert list(columns) == ["artifact", "MB", "operators", "delegated", "parity"]
    assert columns["delegated"] == ("396 of 397 in 2", "-")
    assert columns["parity"][0] == "passed: 2.36 x"
    assert sum(max(len(title), *map(len, cells)) + 3 for title, cells in columns.items()) <= 83
    other = msgspec.structs.replace(rows[1], precision="fp16", delegation=None)
    assert [c.title for c in brief_columns([other, rows[0]])][:2] == ["artifact", "precision"]
    assert "delegated" not in [c.title for c in brief_columns([other])]


def test_what_is_not_whole_is_never_rounded_to_it() -> None:
    nearly = Delegation(delegate="X", delegated=9999, total=10_000, partitions=2)
    (cell,) = {c.title: c.cells for c in artifact_columns([artifact_row("a.pte", "ab", nearly)])}["delegated"]
    assert cell == ">99.9 % (9999 of 10000)"


def test_words_name_what_stays_outside_in_order() -> None:
    assert delegation_words(SHARE) == (
        "396 of 397 operators inside XNNPACK, in 2 partitions; outside: FULLY_CONNECTED in blocks.1."
    )
    whole = Delegation(delegate="XNNPACK", delegated=4, total=4, partitions=1)
    assert delegation_words(whole) == "4 of 4 operators inside XNNPACK, in 1 partition; none outside."


def test_older_manifests_without_pieces_still_say_what_is_outside() -> None:
    old = msgspec.structs.replace(SHARE, pieces=())
    assert "outside: FULLY_CONNECTED x 1: its weights are computed at run time" in delegation_words(old)


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        (Piece(delegated=False, operators=2, names=("ADD",)), "ADD x 2"),
        (Piece(delegated=False, operators=5, names=("ADD", "MUL"), modules=("m",)), "ADD, MUL (5 operators) in m"),
        (Piece(delegated=False, operators=1, names=("ADD",), modules=("a", "b", "c")), "ADD in a, b and others"),
    ],
)
def test_a_piece_is_named_by_its_operators_and_modules(piece: Piece, words: str) -> None:
    share = Delegation(delegate="X", delegated=1, total=9, partitions=1, pieces=(piece,))
    assert delegation_words(share).endswith(f"outside: {words}.")


def test_many_pieces_are_counted_rather_than_named() -> None:
    pieces = tuple(Piece(delegated=False, operators=1, names=(f"OP{index}",)) for index in range(9))
    words = delegation_words(Delegation(delegate="X", delegated=1, total=10, partitions=1, pieces=pieces))
    assert words.endswith("OP3; and in 5 more places.")
