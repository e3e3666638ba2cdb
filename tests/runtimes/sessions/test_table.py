"""The table of runtimes: every format has one, and one that is not installed is told with what brings it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch
from broken_runtime import install_for_another_numpy
from mobile_artifacts import small_program
from small_artifacts import write_artifact

from edgevit.errors import MissingDependencyError, SessionError
from edgevit.installation import install_extra, install_packages, reinstall_package
from export.formats.table import FORMATS, load
from export.quiet import quiet
from export.recipe import Format, Optimize, Recipe
from runtimes.sessions import table
from runtimes.sessions.session import LocalSession
from runtimes.sessions.table import RUNTIMES, open_session, require_runtime, require_sound_runtime


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


@pytest.mark.parametrize("format", [Format.ONNX, Format.PTL])
def test_a_file_whose_name_is_no_utf8_is_opened(format: Format, tmp_path: Path) -> None:
    """Runtimes take paths as UTF-8: such a file is handed over as bytes."""
    made = write_artifact(tmp_path, format).with_suffix("")
    odd = made.rename(tmp_path / os.fsdecode(b"mod\xe8le." + format.value.encode()))
    session = open_session(odd, format)
    answer = session.run({"image": np.zeros((1, 3, 16, 16), np.float32)})
    assert answer["logits"].shape == (1, 7)
    assert format is Format.PTL or session.trace({"image": np.zeros((1, 3, 16, 16), np.float32)})
    session.close()


def test_no_session_opens_operators_that_are_not_standard(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2])
    node = onnx.helper.make_node("RandomNormal", [], ["y"], shape=[2])
    graph = onnx.helper.make_graph([node], "g", [], [value])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(SessionError, match=r"m\.onnx is not run, .* RandomNormal: it draws random numbers"):
        open_session(tmp_path / "m.onnx", Format.ONNX)


@pytest.mark.parametrize("format", list(Format))
def test_files_are_written_and_run_below_names_that_are_no_utf_8(format: Format, tmp_path: Path) -> None:
    program, recipe = small_program(), Recipe(format=format, optimize=Optimize.NONE)
    path = tmp_path / os.fsdecode(b"mod\xe8le") / os.fsdecode(f"\udce9.{format}".encode("utf-8", "surrogateescape"))
    path.parent.mkdir()
    with quiet():
        load(FORMATS[format].exporter)(program, recipe, path)
    with torch.no_grad():
        expected = program.module(*program.example)
    session = open_session(path, format)
    answers = session.run({session.inputs[0].name: program.example[0].numpy()})
    session.close()
    np.testing.assert_allclose(answers["logits"], expected.numpy(), atol=1e-5)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_runtime_that_was_built_for_another_numpy_is_told_before_the_file_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_for_another_numpy(tmp_path, monkeypatch)
    assert require_runtime(Format.TFLITE) == "tflite_runtime"
    with pytest.raises(MissingDependencyError) as caught:
        open_session(tmp_path / "none.tflite", Format.TFLITE)
    assert caught.value.message == (
        "cannot run tflite: tflite-runtime is installed, but cannot be used: it was built for an older numpy: "
        "ImportError: numpy.core.multiarray failed to import"
    )
    assert caught.value.hint == install_packages("numpy<2")


def test_an_empty_folder_of_a_runtime_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = ModuleType("onnxruntime")
    empty.__spec__ = ModuleSpec("onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", empty)
    table._try.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"cannot be used: AttributeError: .*InferenceSession") as caught:
        require_sound_runtime(Format.ONNX)
    assert caught.value.hint == reinstall_package("onnxruntime")


@pytest.mark.parametrize("format", list(Format))
def test_what_is_installed_here_is_sound(format: Format) -> None:
    table._try.cache_clear()
    require_sound_runtime(format)
