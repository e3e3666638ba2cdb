"""Programs of the native runner that are linked with a runtime's library, built and run here."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from edgevit.errors import DeviceError
from runtimes.runners.contract import RunRequest
from runtimes.runners.lines import parse_lines
from runtimes.runners.native.build import SOURCE
from runtimes.runners.runner import Measured


def build(name: str, folder: Path, *options: str) -> Path:
    """The program ``name``, built in ``folder`` with every warning an error."""
    missing = [tool for tool in ("cmake", "g++") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    strict = f"-DCMAKE_CXX_FLAGS={os.environ.get('CXXFLAGS', '')} -Wconversion -Werror"
    configure = ["cmake", "-S", str(SOURCE), "-B", str(folder), f"-DEDGEVIT_PROGRAMS={name}", strict, *options]
    for command in (configure, ["cmake", "--build", str(folder)]):
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / name


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
