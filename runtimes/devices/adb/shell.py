"""Commands over ADB as packets: the shell protocol (``shell_v2``), and the plain one of older daemons.

Every command is started by a short prelude that tells its pid and start time first, so that it can be ended through
a second connection, and that ends the whole process group when the connection goes (a daemon only tells the shell).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from edgevit.errors import DeviceError, DeviceLostError
from runtimes.devices.adb.server import lost
from runtimes.devices.packets import Channel, Packet

if TYPE_CHECKING:
    from adbutils import AdbConnection

_STDOUT, _STDERR, _EXIT = 1, 2, 3
_KINDS = range(6)  # with stdin, its end, and window sizes, which only the host sends
_RECV_BYTES = 1 << 16
_MOST_BYTES = 1 << 20  # adb's MAX_PAYLOAD (AOSP, adb.h), which bounds a shell packet
_MOST_HEAD_BYTES = 1 << 14  # chosen: a shell that starts says a line or two

# $3 behind the name in /proc/PID/stat is the process group: where the daemon gave the shell none of its own, ending
# group 0 would end the daemon.
_PRELUDE = (
    '_l=; [ -r /proc/$$/stat ] && read -r _l </proc/$$/stat; echo "{nonce} $$ $_l"; set -- ${{_l##*) }}; '
    '[ "$3" = $$ ] && trap \'trap "" TERM; kill -9 0\' HUP TERM; '
)


def wrap_command(line: str, nonce: str, *, log: str | None, exit_marker: bool) -> str:
    """The shell line that introduces itself, then runs ``line``.

    Args:
        line: What to run, already quoted.
        nonce: Word that marks our own output; no other output holds it.
        log: Quoted path of a file on the device that gets "pid start", if it is there.
        exit_marker: Print the exit code behind the output, for daemons that cannot send it.
    """
    note = f'[ $# -gt 19 ] && [ -e {log} ] && shift 19 && echo "$$ $1" >>{log}; ' if log else ""
    tail = f"_r=$?; echo {nonce}:$_r" if exit_marker else "exit $?"
    return _PRELUDE.format(nonce=nonce) + note + f"{line} </dev/null & wait $!; {tail}"


class AdbPackets:
    """A command that runs on a device.

    Args:
        connection: An open transport on which the shell service has been accepted.
        nonce: The word of ``wrap_command``.
        merged: The daemon has no ``shell_v2``.
        serial: The device, for messages.
        end: Called with (pid, start) to end the process group through another connection; with None when the command
            has not told them yet.
    """

    def __init__(
        self,
        connection: AdbConnection,
        nonce: str,
        *,
        merged: bool,
        serial: str,
        end: Callable[[tuple[int, str] | None], None],
    ) -> None:
        self._merged = merged
        self._connection = connection
        self._serial = serial
        self._end = end
        self._introduction = re.compile(rb"%s ([0-9]{1,10}) ?([^\r\n]*)\r?\n" % nonce.encode())
        self._marker = f"{nonce}:".encode()
        self._raw = bytearray()
        self._held = b""
        self._head: bytes | None = b""
        self._left: Packet | None = None
        self._process: tuple[int, str] | None = None

    def read(self, timeout_s: float) -> Packet:
        """The next packet, without what the prelude said; see ``Packets``."""
        deadline = time.monotonic() + timeout_s
        while True:
            packet, self._left = self._left, None
            packet = packet or (self._plain() if self._merged else self._framed())
            if packet is None:
                self._receive(deadline - time.monotonic())
            elif packet.channel is Channel.OUT and self._head is not None:
                self._take_introduction(packet.data)
            elif packet.channel is Channel.EXIT and self._head:
                # The shell itself failed before the prelude: what it said is all there is to show.
                self._left, text, self._head = packet, self._head, None
                return Packet(Channel.OUT, text)
            else:
                return packet

    def _receive(self, timeout_s: float) -> None:
        if timeout_s <= 0:
            raise TimeoutError
        try:
            self._connection.conn.settimeout(timeout_s)
            data = self._connection.conn.recv(_RECV_BYTES)
        except ConnectionError as error:
            raise self._lost() from error
        if not data:
            raise self._lost()
        self._raw += data

    def _lost(self) -> DeviceLostError:
        return lost(self._serial, "a command ran: its output ended without an exit code")

    def _nonsense(self, what: str) -> DeviceError:
        return DeviceError(f"{self._serial} answered nonsense while a command ran: {what}")

    def _framed(self) -> Packet | None:
        while len(self._raw) >= 5:
            kind, size = self._raw[0], int.from_bytes(self._raw[1:5], "little")
            if kind not in _KINDS or size > _MOST_BYTES:
                raise self._nonsense(f"shell packet of kind {kind} with {size:,} bytes")
            if len(self._raw) < 5 + size:
                return None
            data = bytes(self._raw[5 : 5 + size])
            del self._raw[: 5 + size]
            if kind == _EXIT and data:
                return Packet(Channel.EXIT, rc=data[0])
            if kind in (_STDOUT, _STDERR) and data:
                return Packet(Channel.OUT if kind == _STDOUT else Channel.ERR, data)
        return None

    def _plain(self) -> Packet | None:
        data = self._held + bytes(self._raw)
        self._raw.clear()
        at = data.rfind(self._marker)
        if at >= 0:
            number = re.match(rb"([0-9]{1,3})\r?\n", data[at + len(self._marker) :])
            if number is not None and at == 0:
                return Packet(Channel.EXIT, rc=int(number[1]))
            keep = len(data) - at
        else:
            keep = _overlap(data, self._marker)
        self._held = data[len(data) - keep :]
        shown = data[: len(data) - keep].replace(b"\r\n", b"\n")
        return Packet(Channel.OUT, shown) if shown else None

    def _take_introduction(self, data: bytes) -> None:
        self._head = (self._head or b"") + data
        if len(self._head) > _MOST_HEAD_BYTES:
            raise self._nonsense(f"{len(self._head):,} bytes before the command began")
        match = self._introduction.search(self._head)
        if match is not None:
            fields = match[2].rpartition(b") ")[2].split()
            self._process = (int(match[1]), fields[19].decode(errors="replace") if len(fields) > 19 else "")
            rest, self._head = self._head[: match.start()] + self._head[match.end() :], None
            self._left = Packet(Channel.OUT, rest) if rest else None

    def close(self, *, kill: bool) -> None:
        """Hang up, which ends the group through the trap; to kill, make sure of it through a second connection."""
        if not self._connection.closed:
            self._connection.close()
        if kill:
            self._end(self._process)


def _overlap(data: bytes, marker: bytes) -> int:
    """Length of the longest end of ``data`` that may be the beginning of ``marker`` (or of a line end)."""
    for size in range(min(len(data), len(marker) - 1), 0, -1):
        if data.endswith(marker[:size]):
            return size
    return 1 if data.endswith(b"\r") else 0
