"""The command that adds to this installation what is missing, for the way that it was installed.

The project is on no package index, so that ``pip install 'edgevit-export[onnx]'`` finds nothing: what works names the
source tree, wheel or repository that this installation came from, or the missing packages themselves. Errors import
this and travel to devices: what is large is loaded when a command is worded.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

NAME = "edgevit-export"
_EXTRA = re.compile(r"""\s*(?:and\s+)?extra\s*==\s*['"]([\w-]+)['"]\s*""")
_OWN = re.compile(rf"{NAME}\[([\w,-]+)\]")


def install_extra(extra: str) -> str:
    """A shell command that installs the extra ``extra`` of this project here; never raises."""
    from importlib.metadata import PackageNotFoundError

    try:
        return shlex.join([*_pip(), *_source(extra)])
    except PackageNotFoundError:  # neither installed nor in a source tree: a copy of some modules
        return f"install {NAME} with its extra '{extra}'"


def install_packages(*requirements: str) -> str:
    """A shell command that installs packages of the index here."""
    return shlex.join([*_pip(), *requirements])


def reinstall_package(requirement: str) -> str:
    """A shell command that installs a package of the index once more, over what is left of it."""
    return shlex.join([*_pip(), "--force-reinstall", requirement])


def _pip() -> list[str]:
    """The words that start an installation into this very environment."""
    python = Path(sys.executable)
    if (Path(sys.prefix) / "pipx_metadata.json").is_file():
        return ["pipx", "runpip", Path(sys.prefix).name, "install"]
    if find_spec("pip") is None:  # as in environments that uv made
        uv = shutil.which("uv") is not None
        return ["uv", "pip", "install", "--python", str(python)] if uv else ["pip", "--python", str(python), "install"]
    on_path = shutil.which("pip")
    if on_path is not None and Path(on_path).parent == python.parent:
        return ["pip", "install"]
    return [str(python), "-m", "pip", "install"]


def _source(extra: str) -> list[str]:
    """What to install: where this installation came from, with the extra, or the packages that the extra stands for.

    Raises:
        PackageNotFoundError: Nothing tells.
    """
    from importlib import metadata
    from urllib.parse import unquote, urlsplit

    tree = Path(__file__).resolve().parents[1]
    if _is_source_tree(tree):
        return _of_tree(tree, extra, editable=True)
    origin = json.loads(metadata.distribution(NAME).read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    if (repository := origin.get("vcs_info")) is not None:
        below = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
        return [f"{NAME}[{extra}] @ {repository['vcs']}+{url}@{repository['commit_id']}{below}"]
    path = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None
    if "dir_info" in origin and path is not None and _is_source_tree(path):
        return _of_tree(path, extra, editable=False)
    if "archive_info" in origin and path is not None and path.is_file():
        return [f"{path}[{extra}]"]
    if path is None and "archive_info" in origin:
        return [f"{NAME}[{extra}] @ {url}"]
    return requirements_of(extra, metadata.requires(NAME) or [])


def _is_source_tree(path: Path) -> bool:
    import tomllib

    try:
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(project.get("project", {}).get("name") == NAME)


def _of_tree(tree: Path, extra: str, *, editable: bool) -> list[str]:
    """A source tree with the versions that it was tested with; by ``.`` where the user stands in it."""
    shown = Path() if tree == Path.cwd() else tree
    pinned = ["-c", str(shown / "constraints.txt")] if (tree / "constraints.txt").is_file() else []
    return [*pinned, *(["-e"] if editable else []), f"{shown}[{extra}]"]


def requirements_of(extra: str, requirements: list[str]) -> list[str]:
    """The packages that ``extra`` stands for, by ``Requires-Dist`` lines; extras of extras too."""
    found: list[str] = []
    for line in requirements:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        named = _EXTRA.search(marker)
        if named is None or named[1] != extra:
            continue
        if own := _OWN.fullmatch(requirement):
            found += [each for other in own[1].split(",") for each in requirements_of(other, requirements)]
            continue
        rest = _EXTRA.sub("", marker).strip()
        found.append(f"{requirement}; {rest}" if rest else requirement)
    return list(dict.fromkeys(found))
