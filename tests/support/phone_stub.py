"""A device for meters: answers shell commands from a table, reads files from a directory."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from runtimes.devices.device import CommandResult
from runtimes.devices.host import HostDevice

Answer = str | Callable[[], str]


class PhoneStub(HostDevice):
    """``answers`` maps the start of a command line to its output; other commands do not exist there.

    The files of the phone's ``/sys`` lie below ``root``.
    """

    kind = "adb"

    def __init__(self, root: Path, answers: dict[str, Answer]) -> None:
        super().__init__(root / "scratch")
        self.serial = "8BC1"
        self._root = root
        self.answers = answers

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> CommandResult:
        line = " ".join(argv)
        for start, answer in self.answers.items():
            if line.startswith(start):
                return CommandResult(rc=0, out=answer() if callable(answer) else answer, err="")
        if argv[0] == "sh":
            moved = [re.sub(r"(?<![\w.])/sys/", f"{self._root}/sys/", word) for word in argv]
            result = super().run(moved, timeout_s)
            return CommandResult(rc=result.rc, out=result.out.replace(str(self._root), ""), err=result.err)
        return CommandResult(rc=127, out="", err=f"{shlex.join(argv)}: not found")
