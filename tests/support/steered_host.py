"""This host as a device that a test steers: what happens before each command, and under which serial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgevit.errors import DeviceLostError
from runtimes.devices.device import CommandResult
from runtimes.devices.host import HostDevice


class SteeredHost(HostDevice):
    """This host under any serial; ``before`` is called with each command, and may raise or wait."""

    def __init__(self, scratch: Path, serial: str = "host") -> None:
        super().__init__(scratch)
        self.serial = serial
        self.before: Callable[[tuple[str, ...]], object] = lambda _: None

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> CommandResult:
        self.before(tuple(argv))
        return super().run(argv, timeout_s)

    def lose(self, _: object = None) -> None:
        raise DeviceLostError(f"{self.serial} is gone")
