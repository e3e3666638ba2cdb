"""Files that the torch here cannot run, in the torch of another Python: this very one, or a stand-in."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pass_rig import captured, randomised
from small_models import two_inputs
from torch import nn

from edgevit.errors import MissingDependencyError, SessionError
from export.formats.ptl_file.write import write
from export.pipeline import optimize
from export.program import Program, capture
from export.recipe import Format, Recipe
from runtimes.sessions import ptl_elsewhere, run_ptl
from runtimes.sessions.ptl_elsewhere import ElsewhereSession, OtherTorch, open_to_prove, other_torch, require_xnnpack
from runtimes.sessions.run_ptl import PTL_PYTHON, PtlSession
from runtimes.sessions.table import open_session

without_xnnpack = pytest.mark.skipif(torch._C._is_xnnpack_enabled(), reason="this torch has XNNPACK")


@pytest.fixture(autouse=True)
def none_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PTL_PYTHON, raising=False)


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Python is named as the other one, and said to have XNNPACK."""
    monkeypatch.setenv(PTL_PYTHON, sys.executable)
    monkeypatch.setattr(ptl_elsewhere, "other_torch", lambda: OtherTorch(torch="2.1.0", xnnpack=True))


def plain(tmp_path: Path) -> tuple[Path, Program]:
    program, path = capture(*two_inputs(batch=2)), tmp_path / "plain.ptl"
    write(program, Recipe(format=Format.PTL), path)
    return path, program


def packed(tmp_path: Path) -> Path:
    recipe, path = Recipe(format=Format.PTL, ptl_prepacked=True), tmp_path / "packed.ptl"
    program = captured(randomised(nn.Linear(3, 4)).float(), (2, 3), torch.float32)
    write(optimize(program, recipe), recipe, path)
    return path


@without_xnnpack
def test_prepacked_weights_are_not_run_here_and_no_other_python_is_guessed(tmp_path: Path) -> None:
    path = packed(tmp_path)
    for opener in (open_session, open_to_prove):
        with pytest.raises(MissingDependencyError, match=r"prepacked::linear_clamp_run.*without XNNPACK") as caught:
            opener(path, Format.PTL)
        assert caught.value.hint is not None and PTL_PYTHON in caught.value.hint
    with pytest.raises(MissingDependencyError, match="cannot run prepacked weights"):
        require_xnnpack()


def test_plain_weights_are_run_here_also_where_another_python_is_named(tmp_path: Path, another: None) -> None:
    session = open_to_prove(plain(tmp_path)[0], Format.PTL)
    assert isinstance(session, PtlSession)
    session.close()


def test_another_process_gives_the_answers(tmp_path: Path, another: None) -> None:
    path, program = plain(tmp_path)
    session = ElsewhereSession(path)
    assert session.runtime == "torch 2.1.0 lite interpreter elsewhere, with XNNPACK"
    assert (session.inputs, session.outputs) == (program.inputs, program.outputs)
    arrays = {spec.name: value.numpy() for spec, value in zip(program.inputs, program.example, strict=True)}
    for _ in range(2):
        found = session.run(arrays)
        for spec, reference in zip(program.outputs, program.module(*program.example), strict=True):
            np.testing.assert_allclose(found[spec.name], reference.numpy(), rtol=1e-5, atol=1e-6)
    session._process.kill()
    with pytest.raises(SessionError, match=r"plain\.ptl"):
        session.run(arrays)
    session.close()


@without_xnnpack
def test_a_torch_that_cannot_says_so_by_its_last_words(tmp_path: Path, another: None) -> None:
    with pytest.raises(SessionError, match=r"packed\.ptl .*elsewhere.*Error"):
        open_to_prove(packed(tmp_path), Format.PTL)


def test_a_file_that_may_not_be_run_does_not_reach_the_other_python(tmp_path: Path, another: None) -> None:
    path, _ = plain(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SessionError, match="cannot load"):
        ElsewhereSession(path)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'no module named torch' >&2; exit 1", "no module named torch"), ("echo nonsense", "the answer of"),
        ("""echo '{"torch": "2.9.0", "xnnpack": false}'""", "torch 2.9.0 has no XNNPACK"), (None, "cannot be used"),
    ],
)  # fmt: skip
def test_a_python_that_is_no_help_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, words: str
) -> None:
    python = tmp_path / "python"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    monkeypatch.setenv(PTL_PYTHON, str(python))
    with pytest.raises(MissingDependencyError, match=words):
        require_xnnpack()


def test_a_python_that_is_has_its_torch_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("""#!/bin/sh\n[ "$1" = -I ] && echo '{"torch": "2.1.0", "xnnpack": true}'\n""")
    python.chmod(0o755)
    monkeypatch.setenv(PTL_PYTHON, str(python))
    assert other_torch() == OtherTorch(torch="2.1.0", xnnpack=True)


def test_a_torch_with_xnnpack_here_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptl_elsewhere, "has_xnnpack", lambda: True)
    require_xnnpack()
    assert run_ptl.has_xnnpack() == torch._C._is_xnnpack_enabled()
