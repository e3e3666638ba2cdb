"""``compare``: shares as typed, the exit code, and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from latency_records import device_run, normal_rounds

from edgevit.errors import UsageError
from edgevit_export.__main__ import run
from edgevit_export.commands.compare import parse_share


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
