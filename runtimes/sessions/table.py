"""The runtimes as data: which module opens the artifacts of which format, and what must be installed for it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from edgevit.errors import MissingDependencyError
from export.recipe import Format


@dataclass(frozen=True)
class RuntimeRow:
    """What the tool knows about one format's runtime without importing it.

    Attributes:
        module: The module of ours whose ``open_session(path, threads)`` opens a file.
        needs: Modules that can run it, best first: one of them must be importable.
        packages: What pip calls the same, in the same order.
        extra: The smallest extra that brings one of them.
    """

    module: str
    needs: tuple[str, ...]
    packages: tuple[str, ...]
    extra: str


RUNTIMES: dict[Format, RuntimeRow] = {
    Format.PTL: RuntimeRow("runtimes.sessions.run_ptl", ("torch",), ("torch",), "ptl"),
    Format.ONNX: RuntimeRow("runtimes.sessions.run_onnx", ("onnxruntime",), ("onnxruntime",), "verify"),
    Format.TFLITE: RuntimeRow(
        "runtimes.sessions.run_tflite",
        ("ai_edge_litert", "tflite_runtime"),
        ("ai-edge-litert", "tflite-runtime"),
        "verify",
    ),
    Format.PTE: RuntimeRow("runtimes.sessions.run_pte", ("executorch",), ("executorch",), "executorch"),
}


def require_runtime(format: Format) -> str:
    """The module that runs ``format`` here.

    Raises:
        MissingDependencyError: None of the alternatives is installed.
    """
    row = RUNTIMES[format]
    for name in row.needs:
        if find_spec(name) is not None:
            return name
    raise MissingDependencyError(
        f"cannot run {format}: {' or '.join(row.packages)} is not installed",
        hint=f"pip install 'edgevit-export[{row.extra}]'",
    )
