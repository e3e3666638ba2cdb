"""A planned process as a line for the shell, and what a finished one printed."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from runtimes.runners.process import Finished, PlannedRun, plan_push
from runtimes.runners.workload import Workload


def test_the_line_does_by_hand_what_is_planned(tmp_path: Path) -> None:
    odd = tmp_path / "a 'dir' $HOME"
    odd.mkdir()
    planned = PlannedRun(
        key="k", round=0, workload=Workload(), cwd=str(odd), environment={"V": "it's $x"},
        program="sh", argv=("sh", "-c", 'pwd; echo "$V" "$1"', "sh", "two words; `x`"),
    )  # fmt: skip
    done = subprocess.run(["sh", "-c", planned.command()], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.splitlines() == [str(odd), "it's $x two words; `x`"]


def test_everything_printed_is_kept_wherever_it_went() -> None:
    assert Finished(0, "out", "", "log").printed == "out\nlog"
    assert Finished(0, "", "err").printed == "err"


def test_a_push_knows_the_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    push = plan_push(tmp_path / "file", "/there/file", program=True)
    assert (push.size_bytes, push.sha256, push.program) == (3, hashlib.sha256(b"abc").hexdigest(), True)
