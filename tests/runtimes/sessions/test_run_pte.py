"""ExecuTorch sessions on files exported here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mobile_artifacts import Built, edgevit, small

from edgevit.errors import SessionError
from edgevit.spec import Layout, Task
from export.recipe import Format
from runtimes.sessions.run_pte import PteSession

CASES = [
    (small, (Format.PTE, Layout.NCHW)),
    (small, (Format.PTE, Layout.NHWC)),
    (edgevit, (Format.PTE, Task.CLASSIFY)),
]


@pytest.mark.parametrize(("build", "arguments"), CASES, ids=["small", "small-nhwc", "classify"])
def test_run_answers_as_the_program(build: Callable[..., Built], arguments: tuple[object, ...]) -> None:
    built = build(*arguments)
    session = PteSession(built.path)
    answer = session.run({"image": built.program.example[0].numpy()})
    expected = built.answers()
    assert list(answer) == list(expected)
    for name, tensor in expected.items():
        scale = float(tensor.abs().max())
        np.testing.assert_allclose(answer[name], tensor.numpy(), rtol=0, atol=2e-5 * max(scale, 1))
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run({"image": built.program.example[0].numpy()})


def test_a_result_does_not_change_with_the_next_run() -> None:
    built = small(Format.PTE)
    session = PteSession(built.path)
    image = built.program.example[0].numpy()
    first = session.run({"image": image})["logits"]
    kept = first.copy()
    assert not np.array_equal(session.run({"image": image * -2})["logits"], kept)
    np.testing.assert_array_equal(first, kept)


def test_an_array_that_is_not_contiguous_is_read_by_its_axes() -> None:
    built = small(Format.PTE)
    image = built.program.example[0].numpy()
    turned = np.ascontiguousarray(image.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert not turned.flags.c_contiguous
    session = PteSession(built.path)
    np.testing.assert_array_equal(session.run({"image": turned})["logits"], session.run({"image": image})["logits"])


def test_sessions_with_other_thread_counts_do_not_disturb_each_other() -> None:
    """In a process of its own: before sessions loaded again after a change of the pool, this crashed."""
    script = """
import sys; from pathlib import Path; import numpy as np
from executorch.extension.pybindings import portable_lib
from runtimes.sessions.run_pte import PteSession
path = Path(sys.argv[1]); image = {"image": np.ones((1, 3, 32, 24), np.float32)}
one, two = PteSession(path, threads=1), PteSession(path, threads=2)
answers = []
for session, threads in ((one, 1), (two, 2), (one, 1), (one, 1), (two, 2)):
    answers.append(session.run(image)["logits"])
    assert portable_lib._threadpool_get_thread_count() == threads
assert all(np.array_equal(answers[0], answer) for answer in answers)
"""
    command = [sys.executable, "-c", script, str(small(Format.PTE).path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_delegation_is_that_of_the_file() -> None:
    share = PteSession(small(Format.PTE).path).delegation()
    assert share is not None
    assert (share.partitions, share.total - share.delegated) == (2, 1)


@pytest.mark.parametrize("keep", [0, 30, 3000])
def test_a_truncated_file_is_an_error(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.pte"
    path.write_bytes(small(Format.PTE).path.read_bytes()[:keep])
    with pytest.raises(SessionError, match=r"cut\.pte"):
        PteSession(path)
    with pytest.raises(SessionError, match="no such file"):
        PteSession(tmp_path / "none.pte")


def test_opening_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    PteSession(small(Format.PTE).path)
    assert capfd.readouterr() == ("", "")
