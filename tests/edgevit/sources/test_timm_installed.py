"""What is said where timm or its torchvision is missing, does not fit, or is broken in its own way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgevit.errors import MissingDependencyError
from edgevit.sources import timm_installed
from edgevit.sources.timm_installed import timm_module, torchvision_for


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


def test_a_torchvision_of_another_torch_is_told_with_the_pair_that_fits(tmp_path: Path) -> None:
    a_package(tmp_path, "torchvision", "raise RuntimeError('operator torchvision::nms does not exist')")
    told = importing(tmp_path)
    assert "does not load beside torch 2.13" in told and "operator torchvision::nms does not exist" in told
    assert "torch 2.13 goes with torchvision 0.28" in told


def test_what_is_broken_in_its_own_way_keeps_its_traceback(tmp_path: Path) -> None:
    a_package(tmp_path, "torchvision", "")
    a_package(tmp_path, "timm", "def load():\n    raise KeyError('half an update')\nload()")
    told = importing(tmp_path)
    assert "KeyError: 'half an update'" in told and str(tmp_path / "timm") in told


def test_timm_itself() -> None:
    import torchvision_operators  # noqa: F401

    assert timm_module() is sys.modules["timm"]
