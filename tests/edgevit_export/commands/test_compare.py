"""``compare``: shares as typed, the exit code, and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from latency_records import device_run, normal_rounds

from edgevit.errors import UsageError
from edgevit_export.__main__ import run
from edgevit_export.commands.compare import parse_share
from validation.latency.likeness_table import TOPICS


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.1", 0.1), ("0%", 0.0), (None, None)])
def test_shares(text: str | None, share: float | None) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["-1%", "abc", "120%", "1", "nan", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a share such as 5%"):
        parse_share(text)


def test_a_regression_beyond_the_limit_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, mean_ms in (("fast", 10.0), ("slow", 12.0)):
        device_run(normal_rounds(mean_ms, seed=1)).save(tmp_path / f"{name}.json")
    fast, slow = str(tmp_path / "fast.json"), str(tmp_path / "slow.json")
    assert run(["compare", fast, slow, "--max-regression", "5%"]) == 1
    assert run(["compare", fast, slow]) == 0
    capsys.readouterr()
    assert run(["compare", slow, fast, "--json", "--max-regression", "5%"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "faster"


def test_unlike_records_are_exit_code_2_with_the_list_and_can_be_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for threads in (1, 4):
        device_run(normal_rounds(10.0, seed=threads), threads=threads).save(tmp_path / f"{threads}.json")
    arguments = ["compare", str(tmp_path / "1.json"), str(tmp_path / "4.json"), "--max-regression", "5%"]
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "unlike threads: 1 and 4" in shown.err and "--allow threads" in shown.err
    assert run([*arguments, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["refused"][0]["topic"]) == (False, "threads")
    assert run([*arguments, "--allow", "threads,device"]) == 0
    shown = capsys.readouterr()
    assert "unlike  threads" in shown.out and "unlike threads: 1 and 4" in shown.err


def test_a_condition_that_nobody_knows_cannot_be_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device_run(normal_rounds(10.0, seed=1)).save(tmp_path / "a.json")
    assert run(["compare", str(tmp_path / "a.json"), str(tmp_path / "a.json"), "--allow", "thread"]) == 2
    assert "did you mean 'threads'?" in " ".join(capsys.readouterr().err.split())


def test_help_names_every_condition_that_can_be_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "--help"]) == 0
    shown = capsys.readouterr().out
    assert [topic for topic in TOPICS if topic not in shown] == []
