"""Ctrl-C while a runtime computes without end, and while Python cleans up."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgevit_export.interrupt import ANSWER_S

_WATCHED = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from edgevit_export.interrupt import watch
watch()
"""
_LOOP = """
import torch
from torch.jit.mobile import _load_for_lite_interpreter
module = _load_for_lite_interpreter(sys.argv[1])
print("begun", flush=True)
module(torch.zeros(1))
"""
_CLEANUP = """
try:
    print("begun", flush=True)
    time.sleep(60)
finally:
    import subprocess
    subprocess.run(["sleep", sys.argv[1]], check=True)
    print("cleaned up", flush=True)
"""


def _interrupted(program: str, *arguments: str) -> tuple[int, str, str, float]:
    """Exit code, stdout, stderr of ``program`` and the seconds to its end, after SIGINT when it has begun."""
    command = [sys.executable, "-c", _WATCHED + program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "begun\n"
            time.sleep(0.5)  # so that the call has begun
            began = time.monotonic()
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=40)
        finally:
            child.kill()
    return child.returncode, out, err, time.monotonic() - began


def test_a_program_that_computes_without_end_is_ended(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    source = tmp_path / "endless.py"
    source.write_text(
        "import sys, torch\n"
        "class Endless(torch.nn.Module):\n"
        "    def forward(self, x: torch.Tensor) -> torch.Tensor:\n"
        "        i = 0\n"
        "        while i < 10**18:\n"
        "            i += 1\n"
        "        return x + i\n"
        "torch.jit.script(Endless())._save_for_lite_interpreter(sys.argv[1])\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", source, tmp_path / "endless.ptl"], check=True)
    code, _, err, seconds = _interrupted(_LOOP, str(tmp_path / "endless.ptl"))
    assert code == -signal.SIGKILL
    assert "interrupted: what was running did not answer" in err
    assert ANSWER_S <= seconds < ANSWER_S + 10


def test_cleaning_up_may_take_longer() -> None:
    code, out, err, seconds = _interrupted(_CLEANUP, str(ANSWER_S + 2))
    assert out == "cleaned up\n"
    assert seconds > ANSWER_S + 2
    assert code == -signal.SIGINT
    assert "did not answer" not in err


def test_the_watcher_ends_with_what_it_watches_and_holds_its_output_open_no_longer() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED + "print('done')"], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == "done\n"
    assert done.stderr == ""
