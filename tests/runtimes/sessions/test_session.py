"""What every session of this machine does around a run, on one that answers with a Python function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_sessions import FunctionSession

from edgevit.errors import SessionError
from edgevit.spec import TensorSpec
from runtimes.sessions.session import Arrays, LocalSession


class Doubling(LocalSession):
    """Doubles what it is given; raises as a runtime does where it is given ones, and as ours where it is given twos."""

    runtime = "doubler 1.0"
    inputs = (TensorSpec(name="x", shape=(-1, 2)),)
    outputs = (TensorSpec(name="y", shape=(-1, 2)),)
    released = 0

    def _run(self, arrays: Arrays) -> Arrays:
        if (arrays["x"] == 1).all():
            raise RuntimeError("kernel 7 refused\nat address 0x1")
        if (arrays["x"] == 2).all():
            raise SessionError("the output has no name")
        return {"y": arrays["x"] * 2}

    def _release(self) -> None:
        self.released += 1


def filled(value: float, shape: tuple[int, ...] = (3, 2)) -> Arrays:
    return {"x": np.full(shape, value, np.float32)}


@pytest.fixture
def session(tmp_path: Path) -> Doubling:
    (tmp_path / "model.any").touch()
    return Doubling(tmp_path / "model.any")


def test_a_run_is_checked_before_and_translated_behind(session: Doubling) -> None:
    np.testing.assert_array_equal(session.run(filled(3))["y"], filled(6)["x"])
    with pytest.raises(SessionError, match=r"model\.any \(doubler 1\.0\): input 'x' must have shape \(\?, 2\)"):
        session.run(filled(3, (3, 4)))
    with pytest.raises(SessionError) as caught:
        session.run(filled(1))
    assert caught.value.message == "doubler 1.0 could not run model.any: kernel 7 refused"
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(SessionError, match="the output has no name"):
        session.run(filled(2))


def test_a_closed_session_runs_no_more_and_is_released_once(session: Doubling) -> None:
    session.close()
    session.close()
    assert session.released == 1
    with pytest.raises(SessionError, match=r"the session of model\.any is closed"):
        session.run(filled(3))


def test_a_missing_file_is_no_session(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"cannot open .*none\.any: no such file"):
        Doubling(tmp_path / "none.any")


def test_what_a_runtime_cannot_has_an_answer_of_its_own() -> None:
    session = FunctionSession({"x": (1, 1)}, ("y",), lambda feed: {"y": feed["x"]})
    assert session.trace({"x": np.zeros((1, 1), np.float32)}) is None
    assert session.producers() == {}
    assert session.delegation() is None
