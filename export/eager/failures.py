"""Which line of the user's network an error or a call of its graph comes from."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import ExportError, first_line

if TYPE_CHECKING:
    from torch.fx import Node

_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)\n?(?P<code>[^\n]*)', re.M)


def place_of(error: BaseException) -> str:
    """The innermost line of an error that is neither torch's, Python's nor ours: ``net.py:12 in forward: x.item()``.

    Empty where there is none.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        frames = traceback.extract_tb(cause.__traceback__)
        found = [place_at(each.filename, each.lineno or 0, each.name, each.line or "") for each in frames]
        if own := [place for place in found if place]:
            return own[-1]
        cause = cause.__cause__ or cause.__context__
    return ""


def place_of_call(stack_trace: object) -> str:
    """The same for a call of a captured graph, from its ``meta["stack_trace"]``."""
    return next(reversed(list(_places(str(stack_trace or "")))), "")


def place_near(call: Node) -> str:
    """The line of a call of a captured graph; of what it takes, or of who takes it, where it has none itself."""
    near = (call, *reversed(call.all_input_nodes), *call.users)
    traces = (node.meta.get("stack_trace") for node in near)
    return next((place for trace in traces if (place := place_of_call(trace))), "")


def behind(text: str, place: str) -> str:
    """``text`` with the place behind it, if there is one."""
    return f"{text}, at {place}" if place else text


def failure(what: str, error: Exception, *, hint: str | None = None) -> ExportError:
    """``what: the error's first line, at net.py:12 in forward: ...``, for ``raise ... from error``."""
    if isinstance(error, ExportError):
        return ExportError(behind(f"{what}: {error.message}", ""), hint=error.hint or hint)
    return ExportError(behind(f"{what}: {first_line(error).rstrip('.')}", place_of(error)), hint=hint or _hint(error))


def _hint(error: Exception) -> str | None:
    if "data-dependent" in str(error):
        return "a captured graph takes one path for every input: choose with torch.where, or decide before the export"
    return None


def _places(text: str) -> Iterator[str]:
    for found in _FRAME.finditer(text):
        if place := place_at(found["file"], int(found["line"]), found["function"], found["code"]):
            yield place


def place_at(file: str, line: int, function: str, code: str) -> str:
    """A line as errors name it, its file as seen from here; empty for lines of torch, of Python and of ours."""
    if file.startswith("<") or any(Path(file).is_relative_to(folder) for folder in _others()):
        return ""
    path = Path(file)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{line} in {function}" + (f": {code.strip()}" if code.strip() else "")


@cache
def _others() -> tuple[Path, ...]:
    """Folders of code that no user wrote for a network: torch, Python's own, and ours."""
    import torch

    library = Path(sysconfig.get_paths()["stdlib"])
    own = Path(__file__).resolve().parents[2]
    rooms = [own / room for room in ("edgevit_export", "export", "runtimes", "validation")]
    python = [each for each in library.iterdir() if each.name not in ("site-packages", "dist-packages")]
    return (Path(torch.__file__).parent, *rooms, *python)
