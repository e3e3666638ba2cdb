"""What the tests of the measuring engine share: a small model, and a daemon whose screen is on."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_rig import onnx_subject

from runtimes.runners.runner import Subject


@pytest.fixture(autouse=True)
def awake(request: pytest.FixtureRequest) -> None:
    """The daemon's screen is on."""
    if "adbd" in request.fixturenames:
        (request.getfixturevalue("adbd").data / "dumpsys_power").write_text("mWakefulness=Awake\n")


@pytest.fixture
def model(tmp_path: Path) -> Subject:
    """``y = x @ WEIGHT`` in a folder of its own."""
    return onnx_subject(tmp_path / "models" / "tiny.onnx")
