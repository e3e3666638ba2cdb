"""``.ptl`` files in the torch of another Python, where the one here cannot run them: it has no XNNPACK.

The environment variable ``EDGEVIT_PTL_PYTHON`` names that Python. For verification: a run takes the way through two
processes, so nothing is timed by it (``bench`` opens files by ``runtimes.sessions.table`` alone).
"""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from edgevit.errors import ArtifactError, MissingDependencyError, SessionError
from edgevit.records import Record
from edgevit.spec import TensorSpec
from export.formats.ptl_file.prepacked import ELSEWHERE
from export.recipe import Format
from runtimes.sessions.run_ptl import PTL_PYTHON, XNNPACK_HINT, facts_of, has_xnnpack, no_xnnpack, tensors_of
from runtimes.sessions.session import Array, Arrays, LocalSession, Session
from runtimes.sessions.table import open_session

_SCRIPT = Path(__file__).with_name("ptl_served.py")
_START_SECONDS = 120  # chosen: importing torch takes 2 s from a warm disk, a minute from a cold one under QEMU


class OtherTorch(Record):
    """What the script says of the torch that it runs in."""

    torch: str
    xnnpack: bool


def open_to_prove(path: Path, format: Format, *, threads: int = 1, inputs: tuple[TensorSpec, ...] = ()) -> Session:
    """Open ``path`` in the runtime of its format, or in the Python that ``EDGEVIT_PTL_PYTHON`` names.

    Args:
        path: The artifact.
        format: Its format.
        threads: Threads inside one operator.
        inputs: As for ``runtimes.sessions.table.open_session``.

    Raises:
        MissingDependencyError: No runtime here has what the file needs, and no other Python is named that has.
        SessionError: The runtime cannot load the file.
    """
    try:
        return open_session(path, format, threads=threads, inputs=inputs)
    except MissingDependencyError:
        if format is not Format.PTL or not os.environ.get(PTL_PYTHON):
            raise
    return ElsewhereSession(path, threads, inputs)


def require_xnnpack() -> None:
    """Refuse early where no torch could run prepacked weights.

    Raises:
        MissingDependencyError: Neither the one here nor that of ``EDGEVIT_PTL_PYTHON`` has XNNPACK.
    """
    if os.environ.get(PTL_PYTHON):
        other_torch()
    elif not has_xnnpack():
        raise no_xnnpack("prepacked weights")


def other_torch() -> OtherTorch:
    """The torch of the Python that ``EDGEVIT_PTL_PYTHON`` names.

    Raises:
        MissingDependencyError: It does not start, has no torch or numpy, or its torch has no XNNPACK.
    """
    python = os.environ.get(PTL_PYTHON, "")
    try:
        done = subprocess.run(_command(python), capture_output=True, timeout=_START_SECONDS, check=False)
        if done.returncode:
            raise MissingDependencyError(f"{PTL_PYTHON}={python}: {_last_line(done.stderr)}", hint=XNNPACK_HINT)
        found = OtherTorch.from_json(done.stdout.decode(errors="replace"), origin=f"the answer of {python}")
    except (OSError, subprocess.TimeoutExpired, ArtifactError) as error:
        raise MissingDependencyError(f"{PTL_PYTHON}={python} cannot be used: {error}", hint=XNNPACK_HINT) from error
    if not found.xnnpack:
        raise MissingDependencyError(f"{PTL_PYTHON}={python}: torch {found.torch} has no XNNPACK", hint=XNNPACK_HINT)
    return found


class ElsewhereSession(LocalSession):
    """One ``.ptl`` file, opened in the lite interpreter of another Python's torch; audited here before."""

    def __init__(self, path: Path, threads: int = 1, inputs: tuple[TensorSpec, ...] = ()) -> None:
        super().__init__(path, threads)
        facts = facts_of(path)
        self._require_standard(facts)
        self.inputs, self.outputs = tensors_of(path.name, facts, inputs)
        self.runtime = f"torch {other_torch().torch} {ELSEWHERE}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the session
        self._process = subprocess.Popen(
            _command(os.environ[PTL_PYTHON], str(path.resolve()), str(threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def _run(self, arrays: Arrays) -> Arrays:
        body = io.BytesIO()
        np.savez(body, *(arrays[spec.name] for spec in self.inputs))
        data = body.getvalue()
        try:
            _pipe(self._process.stdin).write(len(data).to_bytes(8, "little") + data)
            _pipe(self._process.stdin).flush()
        except BrokenPipeError:
            pass  # the answer says why
        found = self._answer()
        names = [spec.name for spec in self.outputs] or [f"output_{place}" for place in range(len(found))]
        if len(found) != len(names):
            raise SessionError(f"{self._where} gave {len(found)} outputs, but its metadata names {', '.join(names)}")
        return dict(zip(names, found, strict=True))

    def _answer(self) -> list[Array]:
        stream = _pipe(self._process.stdout)
        head = stream.read(8)
        data = stream.read(int.from_bytes(head, "little")) if len(head) == 8 else b""
        if not data:
            self._process.wait()
            self._log.seek(0)
            raise SessionError(f"{self._where}: {_last_line(self._log.read())}")
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            return [held[f"arr_{place}"] for place in range(len(held.files))]

    def _release(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()


def _command(python: str, *arguments: str) -> list[str]:
    """Isolated (``-I``): modules of this Python, on its path, are none of the other's."""
    return [python, "-I", str(_SCRIPT), *arguments]


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _last_line(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "its process ended without a word"
