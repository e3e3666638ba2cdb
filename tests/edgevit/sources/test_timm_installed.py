"""What is said where timm or its torchvision is missing, does not fit, or is broken."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edgevit.errors import MissingDependencyError
from edgevit.sources import timm_installed
from edgevit.sources.timm_installed import OLDEST_TIMM, timm_module, torchvision_for


@pytest.mark.parametrize(
    ("torch", "torchvision"),
    [  # torchvision's README
        ("2.13.0+cpu", "0.28"),
        ("2.9.1", "0.24"),
        ("2.0.1", "0.15"),
        ("1.13.1", "0.14"),
        ("1.4.0", None),
        ("3.0.0", None),
        ("nightly", None),
    ],
)
def test_which_torchvision_belongs_to_a_torch(torch: str, torchvision: str | None) -> None:
    assert torchvision_for(torch) == torchvision


@pytest.mark.parametrize("gone", ["timm", "torchvision"])
def test_what_is_not_installed_is_named_with_the_extra(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = timm_installed.find_spec
    monkeypatch.setattr(timm_installed, "find_spec", lambda name: None if name == gone else real(name))
    with pytest.raises(MissingDependencyError, match=f"{gone} is not installed") as caught:
        timm_module()
    assert "[timm]" in str(caught.value.hint)


def a_package(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(text)


def importing(folder: Path) -> str:
    code = "from edgevit.sources.timm_installed import timm_module\ntimm_module()"
    path = os.pathsep.join([str(folder), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("kind", ["RuntimeError", "SyntaxError", "KeyError"])
def test_a_torchvision_of_another_torch_is_told_with_the_pair_that_fits(tmp_path: Path, kind: str) -> None:
    a_package(tmp_path, "torchvision", f"raise {kind}('operator torchvision::nms does not exist')")
    told = importing(tmp_path).splitlines()[-1]
    assert "does not load beside torch 2.13" in told and "operator torchvision::nms does not exist" in told
    assert "torch 2.13 goes with torchvision 0.28" in told


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def load():\n    raise KeyError('half an update')\nload()", "KeyError: 'half an update'"),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("def f(:", "SyntaxError"),
        ("import os\nos.no_such_name", "AttributeError"),
        ("", "No module named 'timm.models'"),
    ],
)
def test_a_broken_timm_is_one_error_with_the_line_and_what_fits(tmp_path: Path, code: str, words: str) -> None:
    a_package(tmp_path, "torchvision", "")
    a_package(tmp_path, "timm", code)
    told = importing(tmp_path).splitlines()[-1]
    assert "MissingDependencyError: cannot use timm's networks: timm" in told and "does not load" in told
    assert words in told and "expected timm 1.0.20 or later" in told
    assert code == "" or f"{tmp_path / 'timm' / '__init__.py'}:" in told


def test_the_oldest_timm_is_that_of_the_extra() -> None:
    extras = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert f"timm>={OLDEST_TIMM}" in extras["optional-dependencies"]["timm"]


def test_timm_itself() -> None:
    import torchvision_operators  # noqa: F401

    assert timm_module() is sys.modules["timm"]
