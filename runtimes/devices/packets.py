"""The output of one command, whatever the transport: packets in, lines and an exit code out, deadlines kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple, Protocol, Self

from edgevit.errors import DeviceTimeoutError


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

    def kill(self) -> None:
        """End the command and all of its process group, if it still runs. Never raises, never blocks for long."""
        ...

    def close(self) -> None:
        """Free the connection; it is not an error to do so twice."""
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

    def kill(self) -> None:
        """There is nothing to end."""

    def close(self) -> None:
        """There is nothing to free."""


def collect(packets: Packets, label: str, timeout_s: float) -> tuple[int, str, str]:
    """Read a command to its end: exit code, standard output, standard error.

    Raises:
        DeviceTimeoutError: The command did not end in ``timeout_s``; it was killed.
        DeviceLostError: The connection ended before the command.
    """
    out, err = bytearray(), bytearray()
    deadline = time.monotonic() + timeout_s
    ended = False
    try:
        while True:
            packet = packets.read(max(0.0, deadline - time.monotonic()))
            if packet.channel is Channel.EXIT:
                ended = True
                return packet.rc, _text(out), _text(err)
            (out if packet.channel is Channel.OUT else err).extend(packet.data)
    except TimeoutError as error:
        tail = _tail(_text(err) or _text(out))
        raise DeviceTimeoutError(f"{label} did not end within {timeout_s:g} s and was killed{tail}") from error
    finally:
        _finish(packets, ended)


class CommandStream:
    """The lines of a running command.

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
        self._err = bytearray()
        self._closed = False

    @property
    def err(self) -> str:
        """Standard error so far."""
        return _text(self._err)

    def __iter__(self) -> Iterator[str]:
        try:
            yield from self._lines()
        finally:
            self.close()

    def _lines(self) -> Iterator[str]:
        pending = b""
        while self.rc is None:
            packet = self._next()
            if packet.channel is Channel.ERR:
                self._err.extend(packet.data)
            elif packet.channel is Channel.OUT:
                *whole, pending = (pending + packet.data).split(b"\n")
                yield from (_text(line).rstrip("\r") for line in whole)
            else:
                self.rc = packet.rc
        if pending:
            yield _text(pending).rstrip("\r")

    def _next(self) -> Packet:
        left_s = self._deadline - time.monotonic()
        silent = self._heartbeat_s <= left_s
        try:
            return self._packets.read(max(0.0, min(self._heartbeat_s, left_s)))
        except TimeoutError as error:
            what = f"was silent for {self._heartbeat_s:g} s" if silent else f"did not end within {self._timeout_s:g} s"
            raise DeviceTimeoutError(f"{self._label} {what} and was killed{_tail(self.err)}") from error

    def close(self) -> None:
        """Kill the command if it still runs, and free the connection; it is not an error to do so twice."""
        if not self._closed:
            self._closed = True
            _finish(self._packets, self.rc is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _finish(packets: Packets, ended: bool) -> None:
    try:
        if not ended:
            packets.kill()
    finally:
        packets.close()


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", errors="replace")


def _tail(text: str) -> str:
    words = last_lines(text)
    return f"; its last words: {words}" if words else ""


def last_lines(text: str) -> str:
    """The last three lines that say something, on one, for messages."""
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-3:])
