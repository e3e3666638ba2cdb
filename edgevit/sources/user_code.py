"""A user's own code, imported because the user named it on the command line, never because a record names it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from edgevit.errors import UsageError
from edgevit.records import sha256_file
from edgevit.sources.origin import told_with_line
from edgevit.text import printable

FACTORY = "get_model"
EXAMPLE = "get_args"
"""What files for LiteRT's converter define: ``get_model()`` makes the module, ``get_args()`` its example inputs."""

_HINT = "--module FILE.py:FACTORY, or PACKAGE.MODULE:FACTORY"


@dataclass(frozen=True)
class UserCode:
    """Imported code and the function in it that makes the module.

    Attributes:
        given: As the user named it.
        module: The Python module.
        factory: Name of the function.
        path: The file that the module is from.
        sha256: That file's.
    """

    given: str
    module: ModuleType
    factory: str
    path: Path
    sha256: str

    @property
    def stem(self) -> str:
        """What artifacts are named after: the file's name without ``.py``, or the whole name of a package's module."""
        place = split_target(self.given)[0]
        return self.path.stem if place.endswith(".py") else place.replace(".", "-")

    def call(self, name: str) -> object:
        """What the function ``name`` of the code returns.

        Raises:
            UsageError: It raises; names the line.
        """
        function: Callable[[], object] = getattr(self.module, name)
        try:
            return function()
        except (Exception, SystemExit) as error:
            raise UsageError(f"{name}() of {printable(self.path.name)} fails: {told_with_line(error)}") from error


def split_target(text: str) -> tuple[str, str]:
    """``net.py:make`` or ``package.net:make`` as what holds the function, and its name; empty where none is named."""
    head, colon, factory = text.rpartition(":")
    if not colon or text.endswith(".py"):
        return text, ""
    return head, factory


def load_user_code(text: str, sha256: str | None = None) -> UserCode:
    """Import what ``text`` names: ``file.py``, ``file.py:factory``, ``package.module`` or ``package.module:factory``.

    Python finds what lies beside the file, or below the working directory, from then on.

    Args:
        text: The name; without a factory ``get_model`` is taken.
        sha256: What the file must have, before any of it runs.

    Raises:
        UsageError: No such file, module or factory, another file than ``sha256`` says, or the import fails.
    """
    place, factory = split_target(text)
    path = _file_of(place)
    found = sha256_file(path)
    if sha256 is not None and found != sha256:
        raise UsageError(
            f"{printable(str(path))} has SHA-256 {found[:12]}..., expected {sha256[:12]}...: it was changed since, or "
            "is another file; nothing of it was run"
        )
    module = _imported(place, path, found)
    name = factory or FACTORY
    if not callable(getattr(module, name, None)):
        raise UsageError(f"{printable(place)} has no function '{printable(name)}'", hint=_functions(place, module))
    return UserCode(text, module, name, path, found)


def _file_of(place: str) -> Path:
    """The source of what is imported, found without running any of it but the packages around it."""
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise UsageError(f"no such file: {printable(place)}")
        return path
    if Path(place).is_file() or "/" in place:
        raise UsageError(f"{printable(place)} is no file whose name ends in .py, and no module's name", hint=_HINT)
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found = importlib.util.find_spec(place)
    except ModuleNotFoundError:  # of the package around it
        found = None
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot import {printable(place)}: {told_with_line(error)}") from error
    if found is None or found.origin is None or not Path(found.origin).is_file():
        why = "can be imported from here" if found is None else "is a file of Python code"
        raise UsageError(f"no module '{printable(place)}' {why}", hint=_HINT)
    return Path(found.origin)


def _imported(place: str, path: Path, sha256: str) -> ModuleType:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        return _from_file(path, sha256)
    except (Exception, SystemExit) as error:
        relative = place.endswith(".py") and isinstance(error, ImportError) and "relative import" in str(error)
        raise UsageError(
            f"cannot import {printable(place)}: {told_with_line(error)}",
            hint="name it as a part of its package: --module PACKAGE.MODULE" if relative else None,
        ) from error


def _from_file(path: Path, sha256: str) -> ModuleType:
    """The module of a file, under a name of its own; the same file is imported once."""
    where = hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()[:8]
    name = f"_edgevit_module_{where}_{sha256[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a name that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    sys.modules[name] = module  # as dataclasses and pickles in it look for
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _functions(place: str, module: ModuleType) -> str:
    """What could be named instead."""
    own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    defined = [name for name in own if getattr(getattr(module, name), "__module__", None) == module.__name__]
    return " or ".join(f"--module {place}:{name}" for name in defined[:3]) or f"define {FACTORY}() in {place}"
