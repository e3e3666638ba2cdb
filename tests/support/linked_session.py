"""Programs of the native runner that are linked with a runtime's library, run here."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from edgevit.errors import DeviceError
from runtimes.runners.contract import RunRequest
from runtimes.runners.lines import parse_lines
from runtimes.runners.runner import Measured


@dataclass(frozen=True)
class LinkedRunner:
    """A program that runs requests in ``directory``, with its runtime's library from ``library``."""

    program: Path
    library: Path
    directory: Path
    request: RunRequest

    def measured(self, environment: dict[str, str] | None = None, **change: object) -> Measured:
        """What a run says that must succeed."""
        code, request = self._run(environment or {}, change)
        assert code == 0
        return parse_lines((self.directory / request.lines).read_bytes(), request, origin="here")

    def refusal(self, environment: dict[str, str] | None = None, **change: object) -> str:
        """The words of a run that must fail."""
        code, request = self._run(environment or {}, change)
        assert code > 0, "neither done, nor killed by a signal"
        with pytest.raises(DeviceError) as caught:
            parse_lines((self.directory / request.lines).read_bytes(), request, origin="here")
        return str(caught.value)

    def _run(self, environment: dict[str, str], change: dict[str, object]) -> tuple[int, RunRequest]:
        request = msgspec.structs.replace(self.request, **change)
        (self.directory / "request.json").write_text(request.to_json(), encoding="utf-8")
        done = subprocess.run(
            [self.program, "request.json"],
            cwd=self.directory,
            env={**os.environ, "LD_LIBRARY_PATH": str(self.library), **environment},
            capture_output=True,
            check=False,
        )
        return done.returncode, request
