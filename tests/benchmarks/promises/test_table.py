"""Rows of the table of promises, from real files in a real process of another Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from small_artifacts import corrupt_weight, small_net, write_artifact

from export.recipe import Format

if TYPE_CHECKING:
    from benchmarks.promises.table import Row

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``benchmarks`` stands beside the rooms, where ``python -m`` finds it."""
    monkeypatch.syspath_prepend(ROOT)
    yield
    for name in [name for name in sys.modules if name.startswith("benchmarks")]:
        del sys.modules[name]


def _row(manifest: Path, command: tuple[str, ...] = (sys.executable,), *, claimed: bool = True) -> Row:
    from benchmarks.promises.pythons import Environment
    from benchmarks.promises.table import tried

    return tried(manifest, "here", lambda: Environment("this", command, {}), claimed=claimed)


@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE])
def test_a_file_that_runs_keeps_its_promise(tmp_path: Path, format: Format) -> None:
    row = _row(write_artifact(tmp_path, format))
    assert row.holds is True
    assert row.result.startswith("runs: ")
    assert row.claimed.startswith({"onnx": "ONNX Runtime >= ", "tflite": "TFLite >= "}[format])


def test_other_values_break_it(tmp_path: Path) -> None:
    manifest = write_artifact(tmp_path, Format.ONNX)
    weight = small_net().state_dict()["blocks.1.expand.bias"].numpy()
    corrupt_weight(next(tmp_path.glob("*.onnx")), np.asarray(weight), 3, 0.5)
    row = _row(manifest)
    assert row.holds is False
    assert row.result.startswith("other values: ")
    assert _row(manifest, claimed=False).holds is None


def test_a_runtime_that_ends_its_process_or_refuses_is_a_result(tmp_path: Path) -> None:
    manifest = write_artifact(tmp_path, Format.ONNX)
    abort = (sys.executable, "-c", "import os; os.abort()")
    assert (_row(manifest, abort).result, _row(manifest, abort).holds) == ("ended by SIGABRT", False)
    refuse = (sys.executable, "-c", "raise SystemExit('no such operator')")
    assert _row(manifest, refuse).result == "refused: no such operator"


def test_what_cannot_be_had_is_no_result(tmp_path: Path) -> None:
    from benchmarks.promises.pythons import Environment, Workshop
    from benchmarks.promises.table import tried

    def build() -> Environment:
        return Workshop(tmp_path).environment("3.1", "onnxruntime==0.0")

    row = tried(write_artifact(tmp_path, Format.ONNX), "ancient", build, claimed=True)
    assert row.holds is None
    assert row.result == "not tried: no Python 3.1 here: give --python 3.1=PATH"


def test_a_broken_promise_stands_out() -> None:
    from benchmarks.promises.table import Row, markdown

    rows = [Row("a.onnx", ">= 1.0", "1.0", "runs", True), Row("b.onnx", ">= 1.1", "1.1", "refused: x", False)]
    assert markdown(rows).splitlines() == [
        "| artifact | claimed | tried with | result |",
        "|---|---|---|---|",
        "| a.onnx | >= 1.0 | 1.0 | runs |",
        "| b.onnx | >= 1.1 | 1.1 | **refused: x** |",
    ]
