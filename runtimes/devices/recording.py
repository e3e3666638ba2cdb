"""Record a session with a device, and play it back without one.

A recording holds every command with its answer, and every file that was sent or came back.
Played back, a command gets the recorded answers of that very command, in their order, and the last one again when
they are used up: how often a state is read depends on the time that passes, and none passes in a replay. A command
that was never recorded is an error.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from edgevit.errors import DeviceError, DeviceLostError, ImpossibleError
from edgevit.records import Record, atomic_path, require_within
from runtimes.devices.device import Device, Kind, Progress
from runtimes.devices.packets import Channel, KnownPackets, Packet, Packets

_T = TypeVar("_T")

# Lock owners and lock deadlines differ from run to run.
_VOLATILE = re.compile(r"\S+@\S+ pid \d+ (?:[0-9a-f]{8}-\d*-)?[0-9a-f]{12}")


def _bytes_of(text: str) -> bytes:
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise ImpossibleError(f"'{text[:40]}' is no base64: {error}") from error


class Answer(Record, forbid_unknown_fields=False):
    """How one command ended; ``rc`` is None when the connection ended first, or the deadline passed."""

    words: tuple[str, ...]
    rc: int | None
    out_base64: str
    err_base64: str
    lost: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no command, no output, and no exit code."""
        if not self.words:
            raise ImpossibleError("a command without a word")
        _bytes_of(self.out_base64)
        _bytes_of(self.err_base64)
        require_within(-128, 255, rc=self.rc)


class Pulled(Record, forbid_unknown_fields=False):
    """A file that came back; ``error`` when it did not."""

    remote: str
    data_base64: str
    error: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no file."""
        _bytes_of(self.data_base64)


class Pushed(Record, forbid_unknown_fields=False):
    """A file that was pushed; ``error`` when it was refused."""

    remote: str
    sent: bool = True
    error: str | None = None


class Recording(Record, forbid_unknown_fields=False):
    """One session with one device. ``note`` is free for whoever records (the request, for instance).

    Earlier recordings hold more fields, here and in the records within, which nothing reads: they are passed over.
    """

    limit_bytes: ClassVar[int] = 1 << 30  # outputs of golden sets stand in it
    schema_version: Literal[1] = 1
    serial: str
    kind: Kind
    scratch: str
    answers: tuple[Answer, ...]
    pulled: tuple[Pulled, ...]
    pushed: tuple[Pushed, ...]
    note: str = ""


class RecordingDevice(Device):
    """Passes everything on to ``inner`` and keeps what came back."""

    def __init__(self, inner: Device) -> None:
        self._inner = inner
        self.serial, self.kind = inner.serial, inner.kind
        self.adb_server = inner.adb_server
        self._answers: list[Answer] = []
        self._pulled: list[Pulled] = []
        self._pushed: list[Pushed] = []

    def recording(self, note: str = "") -> Recording:
        """What was recorded so far."""
        return Recording(
            serial=self.serial,
            kind=self.kind,
            scratch=self._inner.scratch_dir(),
            answers=tuple(self._answers),
            pulled=tuple(self._pulled),
            pushed=tuple(self._pushed),
            note=note,
        )

    def open_packets(self, argv: Sequence[str], *, start_timeout_s: float, tracked: bool = False) -> Packets:
        """Start it on ``inner``, and keep its output."""
        self._inner.process_log = self.process_log
        packets = self._inner.open_packets(argv, start_timeout_s=start_timeout_s, tracked=tracked)
        return _Tee(packets, stable(argv), self._answers)

    def push(
        self, local: Path, remote: str, *, progress: Progress | None = None, mode: int = 0o644, timeout_s: float = 30.0
    ) -> bool:
        """Send it to ``inner``, and keep how that went."""
        try:
            sent = self._inner.push(local, remote, progress=progress, mode=mode, timeout_s=timeout_s)
        except DeviceError as error:
            self._pushed.append(Pushed(remote=remote, sent=False, error=error.message))
            raise
        self._pushed.append(Pushed(remote=remote, sent=sent))
        return sent

    def pull(self, remote: str, local: Path, *, timeout_s: float = 30.0) -> None:
        """Fetch it from ``inner``, and keep its bytes."""
        try:
            self._inner.pull(remote, local, timeout_s=timeout_s)
        except DeviceError as error:
            self._pulled.append(Pulled(remote=remote, data_base64="", error=error.message))
            raise
        self._pulled.append(Pulled(remote=remote, data_base64=b64encode(local.read_bytes()).decode()))

    def reconnect(self, timeout_s: float = 20.0) -> None:
        """As ``inner``; a connection is not recorded."""
        self._inner.reconnect(timeout_s)

    def scratch_dir(self) -> str:
        """As ``inner``."""
        return self._inner.scratch_dir()

    def close(self) -> None:
        """Let go of ``inner``."""
        self._inner.close()


class ReplayDevice(Device):
    """Answers from a recording; see the module."""

    def __init__(self, recording: Recording) -> None:
        self.serial, self.kind = recording.serial, recording.kind
        self._recording = recording
        self._answers = _queues([(answer.words, answer) for answer in recording.answers])
        self._pulled = _queues([((each.remote,), each) for each in recording.pulled])
        self._pushed = _queues([((each.remote,), each) for each in recording.pushed])

    def open_packets(self, argv: Sequence[str], *, start_timeout_s: float, tracked: bool = False) -> Packets:
        """The recorded answer of that command."""
        return _played(self._next(self._answers, stable(argv), "command"))

    def push(
        self, local: Path, remote: str, *, progress: Progress | None = None, mode: int = 0o644, timeout_s: float = 30.0
    ) -> bool:
        """How it went when it was recorded; nothing is sent."""
        pushed = self._next(self._pushed, (remote,), "push")
        if pushed.error is not None:
            raise DeviceError(pushed.error)
        return pushed.sent

    def pull(self, remote: str, local: Path, *, timeout_s: float = 30.0) -> None:
        """Write the recorded bytes."""
        pulled = self._next(self._pulled, (remote,), "pull")
        if pulled.error is not None:
            raise DeviceError(pulled.error)
        with atomic_path(local) as part:
            part.write_bytes(_bytes_of(pulled.data_base64))

    def reconnect(self, timeout_s: float = 20.0) -> None:
        """A recording does not come back by itself."""
        raise DeviceLostError(f"the recording of {self.serial} ends here")

    def scratch_dir(self) -> str:
        """Where it was on the recorded device."""
        return self._recording.scratch

    def _next(self, queues: dict[tuple[str, ...], list[_T]], words: tuple[str, ...], what: str) -> _T:
        queue = queues.get(words)
        if not queue:
            raise DeviceError(
                f"the recording of {self.serial} has no {what} '{' '.join(words)[:200]}': it is of another run",
                hint="record again: edgevit-export bench --record FILE",
            )
        return queue.pop(0) if len(queue) > 1 else queue[0]


def stable(argv: Sequence[str]) -> tuple[str, ...]:
    """A command without what differs from run to run."""
    return tuple(_VOLATILE.sub("OWNER", word) for word in argv)


class _Tee:
    """Hands packets on and keeps them until the command has ended."""

    def __init__(self, inner: Packets, words: tuple[str, ...], answers: list[Answer]) -> None:
        self._inner, self._words, self._answers = inner, words, answers
        self._out, self._err = bytearray(), bytearray()
        self._ended = False

    def read(self, timeout_s: float) -> Packet:
        try:
            packet = self._inner.read(timeout_s)
        except DeviceLostError as error:
            self._end(None, error.message)
            raise
        if packet.channel is Channel.EXIT:
            self._end(packet.rc, None)
        else:
            (self._out if packet.channel is Channel.OUT else self._err).extend(packet.data)
        return packet

    def close(self, *, kill: bool) -> None:
        if kill:
            self._end(None, None)
        self._inner.close(kill=kill)

    def _end(self, rc: int | None, lost: str | None) -> None:
        if self._ended:
            return
        self._ended = True
        out, err = b64encode(self._out).decode(), b64encode(self._err).decode()
        self._answers.append(Answer(words=self._words, rc=rc, out_base64=out, err_base64=err, lost=lost))


def _played(answer: Answer) -> KnownPackets:
    """A recorded answer as packets; one that never ended passes every deadline at once."""
    streams = ((Channel.OUT, answer.out_base64), (Channel.ERR, answer.err_base64))
    packets = [Packet(channel, _bytes_of(text)) for channel, text in streams if text]
    if answer.rc is not None:
        packets.append(Packet(Channel.EXIT, rc=answer.rc))
    return KnownPackets(packets, DeviceLostError(answer.lost) if answer.lost is not None else None)


def _queues(items: Sequence[tuple[tuple[str, ...], _T]]) -> dict[tuple[str, ...], list[_T]]:
    queues: dict[tuple[str, ...], list[_T]] = {}
    for words, item in items:
        queues.setdefault(words, []).append(item)
    return queues
