"""The table of runtimes: every format has one, and one that is not installed is told with what brings it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from edgevit.errors import MissingDependencyError, SessionError
from edgevit.installation import install_extra
from export.recipe import Format
from runtimes.sessions import table
from runtimes.sessions.session import LocalSession
from runtimes.sessions.table import RUNTIMES, open_session, require_runtime


@pytest.mark.parametrize("format", list(Format))
def test_every_format_has_a_session_and_names_what_it_needs(format: Format, tmp_path: Path) -> None:
    row = RUNTIMES[format]
    assert issubclass(getattr(import_module(row.module), row.session), LocalSession)
    assert require_runtime(format) == row.needs[0]
    with pytest.raises(SessionError, match="no such file"):
        open_session(tmp_path / f"none.{format}", format)


def test_a_runtime_that_is_not_installed_is_told_with_its_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError) as caught:
        open_session(Path("any.tflite"), Format.TFLITE)
    assert caught.value.message == "cannot run tflite: ai-edge-litert or tflite-runtime is not installed"
    assert caught.value.hint == install_extra("verify")


def test_the_next_best_alternative_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "find_spec", lambda name: None if name == "ai_edge_litert" else object())
    assert require_runtime(Format.TFLITE) == "tflite_runtime"


def test_looking_into_the_table_costs_no_numpy() -> None:
    code = "import sys; import runtimes.sessions.table; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=True)
