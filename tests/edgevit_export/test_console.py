"""What a person sees: plain lines, tables, JSON, progress; data on stdout, the rest on stderr."""

from __future__ import annotations

import io
import json
import re
import subprocess

import pytest

from edgevit.errors import FailureError, MissingDependencyError, UsageError
from edgevit.records import Record
from edgevit_export.console import (
    Progress,
    begin,
    failure_of,
    format_bytes,
    hush,
    print_command,
    print_error,
    print_failure,
    print_line,
    print_note,
    print_record,
    print_records,
    print_shortfalls,
    print_table,
    print_text,
)


class Cup(Record):
    size_ml: int


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (15_600_000, "15.6 MB"), (2_500_000_000, "2.5 GB")]
)
def test_sizes_are_decimal(size: int, text: str) -> None:
    assert format_bytes(size) == text


def test_a_table_is_plain_aligned_and_literal_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a[b]", "1"), ("passed", "1000"), ("x" * 100, "2")]
    print_table(("name", "count"), rows, title="Cups", right=("count",))
    seen = capsys.readouterr()
    lines = seen.out.splitlines()
    assert lines[0] == "Cups" and "\x1b" not in seen.out and seen.err == ""
    assert [len(line) for line in lines[1:2] + lines[3:]] == [len(lines[-1])] * 4
    assert lines[3].split() == ["a[b]", "1"] and lines[5].split() == ["x" * 100, "2"]


class Terminal(io.StringIO):
    """A narrow one."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_on_a_narrow_terminal_sentences_are_folded_and_numbers_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "48")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    rows = [("what is wrong with it, and why", "101.90 ± 0.25", "verified")]
    print_table(("reason", "energy mJ", "verdict"), rows, right=("energy mJ",))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 48
    assert "101.90 ± 0.25" in lines[2] and "what is wrong" in lines[2]


def test_a_command_is_broken_only_where_a_shell_reads_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "echo all of it && echo 'and then' the rest"
    print_command(command)
    assert capsys.readouterr().out == f"  {command}\n", "whole where nothing is that narrow"
    monkeypatch.setenv("TERM", "xterm")
    for columns, lines in (("44", 1), ("43", 2), ("20", 2)):
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setattr("sys.stdout", terminal := Terminal())
        print_command(command)
        assert terminal.getvalue().count("\n") == lines
        told = subprocess.check_output(["sh", "-c", terminal.getvalue()], text=True)
        assert told == "all of it\nand then the rest\n", "what was copied does what was meant"


HOSTILE = "a\x1b[31m\x9b1m\u202eb\n\r\x7fc"
SHOWN = r"a\x1b[31m\x9b1m\u202eb\n\r\x7fc"


def test_nothing_steers_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "why"), [(HOSTILE, HOSTILE)], title=HOSTILE)
    print_line(HOSTILE)
    print_text(HOSTILE)
    print_note(HOSTILE)
    print_error(UsageError(HOSTILE, hint=HOSTILE))
    progress = Progress()
    with progress.step(HOSTILE) as step:
        step.result = HOSTILE
    progress.note(HOSTILE)
    seen = capfd.readouterr()
    told = seen.out + seen.err
    assert told.count(SHOWN) == 12
    assert all(line.isprintable() for line in told.split("\n"))


class Named(Record):
    name: str


def test_json_says_the_same_without_steering_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_record(Named(name=HOSTILE + "é😀"))
    told = capsys.readouterr().out
    assert json.loads(told) == {"name": HOSTILE + "é😀"}
    print_records(named=[Named(name="mod\udce8le.onnx")])
    assert json.loads(capsys.readouterr().out)["named"] == [{"name": "mod\udce8le.onnx"}]
    assert all(line.isprintable() for line in told.split("\n"))


def test_a_narrow_encoding_costs_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    print_table(("név", "ms"), [("é", "1 ± 2")], right=("ms",))
    print_line("é")
    assert raw.getvalue().decode("ascii").splitlines()[-1] == r"\xe9"
    at = raw.tell()
    print_record(Named(name="é"))
    assert json.loads(raw.getvalue()[at:]) == {"name": "é"}


def test_records_are_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    print_record(Cup(size_ml=2))
    assert json.loads(capsys.readouterr().out) == {"size_ml": 2}
    print_records(cups=[Cup(size_ml=2), Cup(size_ml=3)], plates=[])
    assert json.loads(capsys.readouterr().out) == {
        "schema_version": 1, "cups": [{"size_ml": 2}, {"size_ml": 3}], "plates": [],
    }  # fmt: skip


def test_quiet_leaves_errors_alone(capfd: pytest.CaptureFixture[str]) -> None:
    hush()
    try:
        print_note("a note")
        with Progress().step("working"):
            pass
        print_error(UsageError("no"))
    finally:
        begin()
    assert capfd.readouterr().err == "error: no\n"


def test_a_failure_is_a_document_unless_there_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    begin()
    failure = failure_of(MissingDependencyError("no torch", hint="get it"))
    print_failure(failure)
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == {"kind": "missing-dependency", "message": "no torch", "hint": "get it", "exit_code": 3}
    assert told["schema_version"] == 1
    print_failure(failure)
    assert capsys.readouterr().out == ""
    begin()


def test_errors_and_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(UsageError("no [such] thing", hint="try --this"))
    print_error(UsageError("no hint"))
    print_note("a note")
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "error: no [such] thing\n\nhint: try --this\nerror: no hint\na note\n")


def test_steps_say_how_they_ended(capfd: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    with progress.step("verifying a") as step:
        step.result = "failed"
    with pytest.raises(ZeroDivisionError), progress.step("dividing"):
        _ = 1 / 0
    progress.note("between")
    with progress.bytes_bar("pushing", 10) as update:
        update(5)
    lines = [line.partition("] ")[2] or line for line in capfd.readouterr().err.splitlines()]
    assert lines == [
        "verifying a ...", "verifying a: failed (0.0 s)", "dividing ...", "dividing: failed (0.0 s)", "between",
    ]  # fmt: skip


def test_quiet_progress_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    progress = Progress(quiet=True)
    with progress.step("working"):
        progress.note("busy")
    seen = capfd.readouterr()
    assert (seen.out, seen.err) == ("", "")


def test_shortfalls_are_a_table_and_nothing_where_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_shortfalls([("onnx", ())])
    assert capsys.readouterr().out == ""
    print_shortfalls([("onnx", ()), ("pte", ("MEAN x 1: no kernel", "sink did not run"))])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["not", "as", "asked", "what", "and", "why"]
    assert [line.split()[0] for line in lines[3:]] == ["pte", "pte"]


def test_a_table_too_wide_for_the_terminal_is_a_list_of_cells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    columns = ("artifact", "median ms", "95 % interval", "verdict")
    print_table(columns, [("edgevit-xxs-224x224.onnx", "12.345", "12.100 to 12.600", "valid")], right=columns[1:3])
    shown = capsys.readouterr().out
    for cell in ("edgevit-xxs-224x224.onnx", "12.345", "12.100 to 12.600", "valid"):
        assert cell in shown


class Unwritable(io.StringIO):
    """A terminal that is gone."""

    def write(self, text: str, /) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [None, Unwritable()])
def test_progress_that_cannot_be_shown_ends_no_work(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    progress, done = Progress(), []
    with progress.step("working") as step:
        progress.note("still working")
        step.result = "passed"
    with progress.bytes_bar("pushing", 10) as update:
        update(10)
        done.append("pushed")
    assert done == ["pushed"]


def test_a_document_that_was_had_all_the_same_holds_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    failure = failure_of(FailureError("no room", hint="free some"))
    error = {"kind": "failure", "message": "no room", "hint": "free some", "exit_code": 5}
    print_record(Cup(size_ml=3), failure)
    assert json.loads(capsys.readouterr().out) == {"size_ml": 3, "error": error}
    print_records(failure, cups=[Cup(size_ml=3)])
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "cups": [{"size_ml": 3}], "error": error}
    begin()


def test_what_a_program_printed_stands_in_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Two spaces in, so that none of them can pass for one of ours."""
    print_error(UsageError("it failed; it printed:\n  one\n  error: \x1b[31mtwo\nhint: three", hint="what"))
    assert capsys.readouterr().err == (
        "error: it failed; it printed:\n  one\n  error: \\x1b[31mtwo\\nhint: three\n\nhint: what\n"
    )
