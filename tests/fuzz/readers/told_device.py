"""A device that answers every command with the same text, through the project's own reading of commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runtimes.devices.device import Device, Progress
from runtimes.devices.packets import Channel, KnownPackets, Packet, Packets


class ToldDevice(Device):
    """Exit code 0 and ``text`` for any command; pushes and pulls do nothing."""

    kind = "adb"

    def __init__(self, text: str, *, rc: int = 0) -> None:
        self.serial = "8BC1"
        self._packets = (Packet(Channel.OUT, text.encode("utf-8", "replace")), Packet(Channel.EXIT, rc=rc))

    def open_packets(self, argv: Sequence[str], *, start_timeout_s: float, tracked: bool = False) -> Packets:
        """The answer."""
        return KnownPackets(self._packets)

    def push(
        self, local: Path, remote: str, *, progress: Progress | None = None, mode: int = 0o644, timeout_s: float = 30.0
    ) -> bool:
        """It was there already."""
        return False

    def pull(self, remote: str, local: Path, *, timeout_s: float = 30.0) -> None:
        """Nothing comes."""

    def reconnect(self, timeout_s: float = 20.0) -> None:
        """It is there."""

    def scratch_dir(self) -> str:
        """Any."""
        return "/data/local/tmp/edgevit"


class GaugeDevice(ToldDevice):
    """A battery's gauge: n lines for n files below /sys; those that may not be read, where the text begins with one -.

    ``cmd`` answers the line behind that, ``dumpsys`` all of it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text = text

    def open_packets(self, argv: Sequence[str], *, start_timeout_s: float, tracked: bool = False) -> Packets:
        """See the class."""
        lines = self._text.split("\n")
        files = sum(word.startswith("/sys/") for word in argv)
        said = self._text
        if files:
            said = "\n" * files if lines[0] == "-" else "\n".join(lines[:files])
        elif argv[0] == "cmd":
            said = lines[1] if len(lines) > 1 else ""
        return KnownPackets((Packet(Channel.OUT, said.encode("utf-8", "replace")), Packet(Channel.EXIT, rc=0)))
