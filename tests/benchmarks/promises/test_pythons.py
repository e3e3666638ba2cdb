"""Which interpreter an old environment gets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_program_that_is_no_such_python_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.promises.pythons import Unavailable, Workshop

    _script(tmp_path / "bin" / "python3.1", "echo 'command not found; it exists in 3.1.5' >&2; exit 127")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    (tmp_path / "site-3.1-one-1.0").mkdir()
    with pytest.raises(Unavailable, match=r"no Python 3\.1 here"):
        Workshop(tmp_path).environment("3.1", "one==1.0", host=True)
    kept = _script(tmp_path / "pyenv" / "versions" / "3.1.5" / "bin" / "python", "echo 3.1")
    assert Workshop(tmp_path).environment("3.1", "one==1.0", host=True).command == (str(kept),)


def test_a_given_python_comes_first_and_sees_nothing_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.promises.pythons import Workshop

    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    (tmp_path / "site-3.8-one-1.0-numpy-1.24.4").mkdir()
    found = Workshop(tmp_path, {"3.8": tmp_path / "python"}).environment("3.8", "one==1.0")
    assert (found.title, found.command) == ("one==1.0", (str(tmp_path / "python"),))
    assert found.variables["PYTHONPATH"] == str(tmp_path / "site-3.8-one-1.0-numpy-1.24.4")


def test_this_python_shares_its_packages_only_where_it_is_asked_to(tmp_path: Path) -> None:
    from benchmarks.promises.pythons import Workshop, own_python

    for host in (False, True):
        site = tmp_path / f"site-{own_python()}-one-1.0-numpy-1.26.4"
        site.mkdir(exist_ok=True)
        found = Workshop(tmp_path).environment(own_python(), "one==1.0", "numpy==1.26.4", host=host)
        assert found.command == (sys.executable, "-S")
        assert (len(found.variables["PYTHONPATH"].split(":")) > 1) is host
