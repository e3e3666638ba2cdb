"""An artifact opened in a runtime of another Python, as a session of ours."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from benchmarks.promises.pythons import Environment
from edgevit.errors import SessionError
from export.artifact import FileFacts
from runtimes.sessions.session import Arrays, LocalSession

_SCRIPT = Path(__file__).with_name("served.py")


class OldSession(LocalSession):
    """A process of the old Python that is asked for one run after the other."""

    def __init__(self, path: Path, facts: FileFacts, environment: Environment, *, delegate: bool = True) -> None:
        super().__init__(path)
        self.runtime, self.inputs, self.outputs = environment.title, facts.inputs, facts.outputs
        self._folder = Path(tempfile.mkdtemp(prefix="promises-"))
        script = shutil.copy2(_SCRIPT, self._folder)  # beside nothing that an import could find
        mode = "default" if delegate else "plain"
        self._log = (self._folder / "log").open("w+b")
        self._process = subprocess.Popen(
            [*environment.command, str(script), facts.format.value, str(path), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment.variables,
            text=True,
        )
        try:
            self.facts: dict[str, int] = json.loads(self._answer())
        except BaseException:
            self.close()
            raise

    def _run(self, arrays: Arrays) -> Arrays:
        source, target = self._folder / "inputs.npz", self._folder / "outputs.npz"
        np.savez(source, **{str(place): arrays[spec.name] for place, spec in enumerate(self.inputs)})
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(f"{source} {target}\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # the answer says why
        self._answer()
        with np.load(target) as held:
            return {spec.name: held[str(place)] for place, spec in enumerate(self.outputs)}

    def _answer(self) -> str:
        stdout: IO[str] | None = self._process.stdout
        assert stdout is not None
        line = stdout.readline()
        if line:
            return line
        code = self._process.wait()
        words = self._last_words()
        raise SessionError(f"ended by {signal.Signals(-code).name}" if code < 0 else f"refused: {words}")

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = [line for line in self._log.read().decode("utf-8", errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else "without a word"

    def _release(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)
