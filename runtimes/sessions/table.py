"""The runtimes as data: which module opens the artifacts of which format, and what must be installed for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import MissingDependencyError, first_line
from edgevit.installation import install_packages, reinstall_package
from export.quiet import quiet
from export.recipe import Format

if TYPE_CHECKING:
    from edgevit.spec import TensorSpec
    from runtimes.sessions.session import LocalSession, Session


@dataclass(frozen=True)
class RuntimeRow:
    """What the tool knows about one format's runtime without importing it.

    Attributes:
        module: The module of ours that runs it.
        session: Its subclass of ``runtimes.sessions.session.Session``.
        needs: Modules that can run it, best first: one of them must be importable.
        extra: The smallest extra that brings one of them.
        nameless: Its files need not say what their inputs are; then its session takes them as a third argument.
    """

    module: str
    session: str
    needs: tuple[str, ...]
    extra: str
    nameless: bool = False

    @property
    def packages(self) -> tuple[str, ...]:
        """What pip calls ``needs``."""
        return tuple(name.replace("_", "-") for name in self.needs)


RUNTIMES: dict[Format, RuntimeRow] = {
    Format.PTL: RuntimeRow("runtimes.sessions.run_ptl", "PtlSession", ("torch",), "ptl", nameless=True),
    Format.ONNX: RuntimeRow("runtimes.sessions.run_onnx", "OnnxSession", ("onnxruntime",), "verify"),
    Format.TFLITE: RuntimeRow(
        "runtimes.sessions.run_tflite", "TfliteSession", ("ai_edge_litert", "tflite_runtime"), "verify"
    ),
    Format.PTE: RuntimeRow("runtimes.sessions.run_pte", "PteSession", ("executorch",), "executorch"),
}


def open_session(path: Path, format: Format, *, threads: int = 1, inputs: tuple[TensorSpec, ...] = ()) -> Session:
    """Open ``path`` in the runtime of its format.

    Args:
        path: The artifact.
        format: Its format.
        threads: Threads inside one operator.
        inputs: What a file takes, in order, that does not say so itself; any other says its own.

    Raises:
        MissingDependencyError: The runtime is not installed, or its installation is broken.
        SessionError: The runtime cannot load the file.
    """
    require_sound_runtime(format)
    row = RUNTIMES[format]
    kind = getattr(import_module(row.module), row.session)
    session: Session = kind(path, threads, inputs) if row.nameless else kind(path, threads)
    return session


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
        extra=row.extra,
    )


def require_sound_runtime(format: Format) -> None:
    """Import and try what runs ``format`` here.

    Raises:
        MissingDependencyError: None of the alternatives is installed, or the best one that is cannot be used.
    """
    _try(format, require_runtime(format))


@cache
def _try(format: Format, name: str) -> None:
    row = RUNTIMES[format]
    try:
        with quiet():
            kind: type[LocalSession] = getattr(import_module(row.module), row.session)
            kind.probe(name)
    except Exception as error:  # a broken native library raises anything
        *_, first = _chain(error)
        package = name.replace("_", "-")
        older = "numpy" in str(first)  # all that a module which was built for another numpy says
        remark = ": it was built for an older numpy" if older else ""
        raise MissingDependencyError(
            f"cannot run {format}: {package} is installed, but cannot be used{remark}: "
            f"{type(first).__name__}: {first_line(first)}",
            hint=install_packages("numpy<2") if older else reinstall_package(package),
        ) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what caused it, down to the first cause."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
