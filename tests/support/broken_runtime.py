"""A tflite-runtime that was built for another numpy: it can be imported, and fails when it opens a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtimes.sessions import table

_INTERPRETER = """
class Interpreter:
    def __init__(self, model_path=None, model_content=None, **others):
        try:
            raise ImportError("numpy.core.multiarray failed to import")
        except ImportError as error:
            raise SystemError("CreateWrapperFromBuffer returned a result with an exception set") from error
"""


def install_for_another_numpy(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put such a package at ``site`` and make it the only TFLite runtime for the rest of the test.

    It raises what tflite-runtime 2.14.0 was seen to raise under numpy 2.3.1.
    """
    package = site / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(_INTERPRETER, encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    real = table.find_spec
    monkeypatch.setattr(table, "find_spec", lambda name: None if name == "ai_edge_litert" else real(name))
