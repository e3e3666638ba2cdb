"""Build the Python runner as one zip that any python3 with numpy and the runtime executes.

The zip holds this project's own sources: the runner, the session of one format, every module of ours that those
import, found by reading their import statements, and the data files that they name. It unpacks itself beside itself,
since modules look for their data next to their source. msgspec is compiled and cannot travel; a stand-in of the
same name (``runtimes/runners/python/msgspec_stand_in.py``) gives the records their constructors, which is all that a
session needs. The same sources give the same bytes, so that a device that has the file already is recognised by its
SHA-256.
"""

from __future__ import annotations

import ast
import io
import zipfile
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

from export.recipe import Format
from runtimes.sessions.table import RUNTIMES

ROOMS = ("edgevit", "export", "runtimes")
PYTHON_REQUIRED = (3, 11)  # as in pyproject.toml: the sources that travel are this project's own
FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold

_MAIN = f"""\
import sys

if sys.version_info < {PYTHON_REQUIRED}:
    sys.stderr.write("the runner needs python {PYTHON_REQUIRED[0]}.{PYTHON_REQUIRED[1]}, this is %s\\n" % sys.version)
    sys.exit(3)
import hashlib
import os
import zipfile

archive = os.path.abspath(sys.argv[0])
with open(archive, "rb") as file:
    digest = hashlib.sha256(file.read()).hexdigest()
home = archive + ".files"
stamp = os.path.join(home, digest)
if not os.path.exists(stamp):
    zipfile.ZipFile(archive).extractall(home)
    open(stamp, "w").close()
sys.path[0] = home
from runtimes.runners.python.on_device import main

sys.exit(main(sys.argv[1:]))
"""

# Devices are measured in threads, and CPython 3.11's parser counts its recursion in one place for all.
_PARSING = Lock()


def build_runner(format: Format) -> bytes:
    """The runner for ``format`` as the bytes of a ``.pyz``."""
    sources = closure(("runtimes.runners.python.on_device", "runtimes.sessions.session", RUNTIMES[format].module))
    members = {
        "__main__.py": _MAIN.encode(),
        "msgspec.py": _source("runtimes.runners.python.msgspec_stand_in").read_bytes(),
    }
    for module, path in sources.items():
        name = module.replace(".", "/")
        members[f"{name}/__init__.py" if path.name == "__init__.py" else f"{name}.py"] = path.read_bytes()
        for data in named_data(path):
            members[f"{name.rpartition('/')[0]}/{data.name}"] = data.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, FIXED_DATE), members[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def closure(modules: tuple[str, ...]) -> dict[str, Path]:
    """The source file of ``modules``, of all of ours that they import, and of the packages around those."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in found or module.partition(".")[0] not in ROOMS:
            continue
        found[module] = _source(module)
        waiting += _imports(found[module])
        if "." in module:
            waiting.append(module.rpartition(".")[0])
    return dict(sorted(found.items()))


def named_data(source: Path) -> list[Path]:
    """The files beside a module that are no Python and whose names stand in its source."""
    text = source.read_text(encoding="utf-8")
    beside = (path for path in source.parent.iterdir() if path.is_file() and path.suffix not in (".py", ".pyc"))
    return sorted(path for path in beside if f'"{path.name}"' in text)


def _source(module: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"no source for {module}", name=module)
    return Path(spec.origin)


def _imports(path: Path) -> list[str]:
    names: list[str] = []
    with _PARSING:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
            names += [name for alias in node.names if _is_module(name := f"{node.module}.{alias.name}")]
    return names


def _is_module(name: str) -> bool:
    if name.partition(".")[0] not in ROOMS:
        return False
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
