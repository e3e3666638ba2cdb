"""The table of what was timed in turns, as both benchmarks print it."""

from __future__ import annotations

from benchmarks.turns import cpu_name, table

HEAD, ROWS = ("network", "ms"), [["edgevit-s", "4.1"], ["mobilenetv2", "2.0"]]


def test_markdown_tells_the_machine_and_what_was_done_above_a_whole_table() -> None:
    told, blank, *grid = table(HEAD, ROWS, "40 turns.", is_markdown=True)
    assert told.startswith(cpu_name()) and told.endswith("; 40 turns.") and blank == ""
    assert grid == ["| network | ms |", "| --- | --- |", "| edgevit-s | 4.1 |", "| mobilenetv2 | 2.0 |"]


def test_without_markdown_there_is_nothing_but_cells() -> None:
    assert list(table(HEAD, ROWS, "40 turns.", is_markdown=False)) == [
        "network\tms", "edgevit-s\t4.1", "mobilenetv2\t2.0"
    ]  # fmt: skip
