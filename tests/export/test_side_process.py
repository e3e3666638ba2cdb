"""Work in a forked process: its result, its errors, its death, and its end with the export."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from edgevit.errors import ExportError, UsageError
from export.side_process import SideProcess, can_fork

pytestmark = pytest.mark.skipif(not can_fork(), reason="needs Linux and two cores")


def raising() -> int:
    error = UsageError("no such thing", hint="another")
    error.add_note("the converter said so")
    raise error


@pytest.mark.parametrize("forked", [True, False])
def test_the_result_comes_back(forked: bool, tmp_path: Path) -> None:
    side = SideProcess(lambda: {"pid": os.getpid()}, tmp_path / "answer", "working", forked=forked)
    assert (side.result()["pid"] == os.getpid()) is not forked
    assert side.result() is side.result()
    assert not side.running and not side.failed
    assert list(tmp_path.iterdir()) == []


def test_errors_keep_their_kind_hint_and_notes(tmp_path: Path) -> None:
    side = SideProcess(raising, tmp_path / "answer", "working", forked=True)
    with pytest.raises(UsageError, match="no such thing") as caught:
        side.result()
    assert caught.value.hint == "another"
    assert caught.value.__notes__ == ["the converter said so"]
    assert side.failed


def test_a_killed_process_is_an_error_that_says_so(tmp_path: Path) -> None:
    side = SideProcess(lambda: os.kill(os.getpid(), signal.SIGKILL), tmp_path / "answer", "converting", forked=True)
    with pytest.raises(ExportError, match="converting: the process was killed by signal 9"):
        side.result()


def test_an_unexpected_exception_is_no_result(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    side = SideProcess(lambda: 1 // 0, tmp_path / "answer", "converting", forked=True)
    with pytest.raises(ExportError, match="ended without a result"):
        side.result()
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_process_that_can_tell_nobody_why_ends_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would go on with its parent's work."""
    with Path("/dev/full").open("w") as full:
        for stderr in (None, full):
            monkeypatch.setattr("sys.stderr", stderr)
            side = SideProcess(lambda: 1 // 0, tmp_path / "answer", "converting", forked=True)
            with pytest.raises(ExportError, match="ended without a result"):
                side.result()


def test_a_disk_without_room_for_the_answer_is_told_as_such(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "answer").symlink_to("/dev/full")
    for work in (lambda: b"an answer", raising):
        side = SideProcess(work, tmp_path / "answer", "converting", forked=True)
        with pytest.raises(ExportError, match=f"no room left in {tmp_path.parent}; what stands there is whole"):
            side.result()
        assert side.failed
    assert capfd.readouterr().err == ""


def test_stop_ends_what_still_runs(tmp_path: Path) -> None:
    side = SideProcess(lambda: time.sleep(60), tmp_path / "answer", "waiting", forked=True)
    pid = side._pid
    side.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    side.stop()


def test_exporting_side_by_side_gives_the_same_files(tmp_path: Path) -> None:
    """In a fresh process, as the command line does it: one with loaded runtimes is not for forking."""
    import subprocess

    program = (
        "import sys\nfrom pathlib import Path\nfrom plain_net import model, spec\n"
        "from edgevit_export import export\n"
        "report = export(model(), spec(), ['onnx', 'tflite'], output=sys.argv[1], side_by_side=sys.argv[2] == '1')\n"
        "assert report.passed, report\n"
    )
    support = Path(__file__).resolve().parents[1] / "support"
    for forked in ("0", "1"):
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / forked), forked],
            check=True,
            env={**os.environ, "PYTHONPATH": str(support), "SOURCE_DATE_EPOCH": "0"},
        )
    names = sorted(path.name for path in (tmp_path / "0").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "1").iterdir())
    for name in names:
        if name.endswith((".onnx", ".tflite", ".npz")):
            assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes(), name
