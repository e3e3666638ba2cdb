"""A call in a process of its own: old runtimes end the whole process where they should raise."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from edgevit.errors import EdgevitExportError, SessionError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_CHILD = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    sys.path[:], call = pickle.load(file)
from runtimes.sessions.apart import answer
answer(call, sys.argv[2])
"""


def apart(
    what: str, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """What ``function`` returns, called in a fresh Python that finds the same modules.

    Args:
        what: The work in words, for errors.
        function: A function at the top level of a module of ours; like its arguments, it is pickled.
        args: Its arguments.
        kwargs: Its arguments by name.

    Raises:
        SessionError: The process was ended by a signal, or ended without a result.
        EdgevitExportError: Whatever error of ours ``function`` raised.
    """
    with tempfile.TemporaryDirectory() as folder:
        question, result = Path(folder) / "question", Path(folder) / "result"
        question.write_bytes(pickle.dumps((sys.path, pickle.dumps((function, args, kwargs)))))
        ended = subprocess.run(
            [sys.executable, "-c", _CHILD, str(question), str(result)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if ended.returncode != 0:
            raise SessionError(f"{what}: {_end(ended.returncode)}{_last_words(ended.stderr)}")
        value, error = pickle.loads(result.read_bytes())
    if error is not None:
        raise error
    returned: Result = value
    return returned


def answer(call: bytes, result: str) -> None:
    """In the process of its own: make the pickled ``call``, and leave what it returned or raised at ``result``."""
    function, args, kwargs = pickle.loads(call)
    outcome: tuple[object, EdgevitExportError | None]
    try:
        outcome = (function(*args, **kwargs), None)
    except EdgevitExportError as error:
        outcome = (None, error)
    Path(result).write_bytes(pickle.dumps(outcome))


def _end(code: int) -> str:
    if code >= 0:
        return f"its process ended with code {code}"
    try:
        return f"its process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was ended by signal {-code}"


def _last_words(stderr: bytes) -> str:
    """The last line that the process wrote, which tells the reason where a runtime aborts."""
    lines = [line.strip() for line in stderr.decode("utf-8", errors="replace").splitlines() if line.strip()]
    return f" ({lines[-1]})" if lines else ""
