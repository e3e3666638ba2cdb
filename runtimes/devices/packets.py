"""The output of one command, whatever the transport: packets in, lines and an exit code out, deadlines kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple, Protocol, Self

from edgevit.errors import DeviceError, DeviceTimeoutError
from edgevit.text import printable

MOST_OUTPUT_BYTES = 64 << 20  # chosen: the longest answer, a whole dumpsys, has some 10 MB
LONGEST_LINE_BYTES = 16 << 10  # chosen: a longer one is no text for people, and comes in pieces
LONGEST_WORDS = 1000  # characters; chosen: a message still shows its beginning


class Channel(Enum):
    """What a packet carries."""

    OUT = 1
    ERR = 2
    EXIT = 3


class Packet(NamedTuple):
    """A piece of a command's output; ``rc`` only counts for ``Channel.EXIT``, ``data`` only for the others."""

    channel: Channel
    data: bytes = b""
    rc: int = 0


class Packets(Protocol):
    """A running command, as the transport sees it."""

    def read(self, timeout_s: float) -> Packet:
        """The next packet; the last one is ``EXIT``.

        Raises:
            TimeoutError: Nothing came in ``timeout_s``.
            DeviceLostError: The connection ended before the command.
        """
        ...

    def close(self, *, kill: bool) -> None:
        """Free the connection; it is not an error to do so twice.

        With ``kill`` the command and all of its process group are ended, if it still runs; that never raises and never
        blocks for long.
        """
        ...


class KnownPackets:
    """Packets that are known beforehand, then ``end``: a command that could not be started, or a recorded one."""

    def __init__(self, packets: Iterable[Packet], end: Exception | None = None) -> None:
        self._packets = iter(packets)
        self._end = end or TimeoutError()

    def read(self, timeout_s: float) -> Packet:
        """The next one; without an exit code among them every deadline passes at once."""
        for packet in self._packets:
            return packet
        raise self._end

    def close(self, *, kill: bool) -> None:
        """There is nothing to end or to free."""


class CommandStream:
    """The lines of a running command, or all of its output.

    Attributes:
        rc: The exit code, once the lines have ended; None before.
    """

    def __init__(self, packets: Packets, label: str, *, heartbeat_s: float, timeout_s: float) -> None:
        self.rc: int | None = None
        self._packets = packets
        self._label = label
        self._heartbeat_s = heartbeat_s
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._out, self._err = bytearray(), bytearray()
        self._closed = False

    @property
    def err(self) -> str:
        """Standard error so far."""
        return _text(self._err)

    def read_all(self) -> tuple[int, str, str]:
        """Read the command to its end: exit code, standard output, standard error.

        Raises:
            DeviceTimeoutError: The command did not end in time; it was killed.
            DeviceLostError: The connection ended before the command.
            DeviceError: It printed more than ``MOST_OUTPUT_BYTES``; it was killed.
        """
        with self:
            while self.rc is None:
                self._keep(self._out, self._piece())
        return self.rc, _text(self._out), self.err

    def __iter__(self) -> Iterator[str]:
        try:
            yield from self._lines()
        finally:
            self.close()

    def _lines(self) -> Iterator[str]:
        pending = b""
        while self.rc is None:
            *whole, pending = (pending + self._piece()).split(b"\n")
            yield from (_text(line).rstrip("\r") for line in whole)
            while len(pending) > LONGEST_LINE_BYTES:
                yield _text(pending[:LONGEST_LINE_BYTES])
                pending = pending[LONGEST_LINE_BYTES:]
        if pending:
            yield _text(pending).rstrip("\r")

    def _piece(self) -> bytes:
        """The next piece of standard output; empty when something else came, which is kept."""
        packet = self._next()
        if packet.channel is Channel.ERR:
            self._keep(self._err, packet.data)
        elif packet.channel is Channel.EXIT:
            self.rc = packet.rc
        return packet.data if packet.channel is Channel.OUT else b""

    def _keep(self, kept: bytearray, data: bytes) -> None:
        if len(kept) + len(data) > MOST_OUTPUT_BYTES:
            self.close()
            raise DeviceError(f"{self._label} printed more than {MOST_OUTPUT_BYTES >> 20} MiB and was killed")
        kept += data

    def _next(self) -> Packet:
        left_s = self._deadline - time.monotonic()
        silent = self._heartbeat_s <= left_s
        try:
            return self._packets.read(max(0.0, min(self._heartbeat_s, left_s)))
        except TimeoutError as error:
            what = f"was silent for {self._heartbeat_s:g} s" if silent else f"did not end within {self._timeout_s:g} s"
            raise DeviceTimeoutError(f"{self._label} {what} and was killed{self._last_words()}") from error

    def _last_words(self) -> str:
        words = last_lines(self.err or _text(self._out))
        return f"; its last words: {words}" if words else ""

    def close(self) -> None:
        """Kill the command if it still runs, and free the connection; it is not an error to do so twice."""
        if not self._closed:
            self._closed = True
            self._packets.close(kill=self.rc is None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", errors="replace")


def last_lines(text: str) -> str:
    """The last three lines that say something, on one, for messages."""
    return printable(" | ".join([line.strip()[:LONGEST_WORDS] for line in text.splitlines() if line.strip()][-3:]))
