"""ADB's file service with deadlines and with the device's own words: adbutils has neither.

Protocol: AOSP, ``system/core/adb/SYNC.TXT`` (STAT, RECV and SEND of version 1, which every daemon has).
"""

from __future__ import annotations

import select
import stat
import struct
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from edgevit.errors import DeviceError

if TYPE_CHECKING:
    from adbutils import AdbConnection

MOST_BYTES = 1 << 30  # chosen: outputs and traces are far below it, and this program reads them whole
CHUNK_BYTES = 1 << 16  # the protocol's greatest piece (SYNC_DATA_MAX)
PATH_BYTES = 1024  # and its longest path


class SyncRefusal(Exception):
    """The device said FAIL; the message is its own (often a C library's error text)."""


class SyncChannel:
    """An open ``sync:`` service. Its errors of sockets and of adbutils are to be ``translated``."""

    def __init__(self, connection: AdbConnection, serial: str) -> None:
        self._connection = connection
        self._serial = serial

    def stat(self, path: str) -> tuple[int, int]:
        """Mode and size (modulo 2**32) of ``path``; mode 0 means that there is nothing, or that it may not be seen."""
        self._request(b"STAT", path)
        if (word := self._connection.read_exact(4)) != b"STAT":
            raise self._nonsense(word)
        mode, size, _ = struct.unpack("<III", self._connection.read_exact(12))
        return mode, size

    def send(self, source: BinaryIO, path: str, mode: int) -> Iterator[int]:
        """Write ``source`` to ``path``, and tell the bytes done so far; to be read to its end.

        Raises:
            SyncRefusal: The device could not.
        """
        self._request(b"SEND", f"{path},{stat.S_IFREG | mode}")
        done = 0
        yield done
        try:
            while chunk := source.read(CHUNK_BYTES):
                self._connection.conn.sendall(b"DATA" + struct.pack("<I", len(chunk)) + chunk)
                done += len(chunk)
                yield done
                if select.select([self._connection.conn], [], [], 0)[0]:
                    break  # an answer before the end can only be a refusal
            else:
                self._connection.conn.sendall(b"DONE" + struct.pack("<I", int(time.time())))
        except ConnectionError:
            self._answer()
            raise
        self._answer()

    def _answer(self) -> None:
        word, _ = self._head()
        if word != b"OKAY":
            raise self._nonsense(word)

    def _head(self) -> tuple[bytes, int]:
        """The word and the number that begin an answer; FAIL is raised with the device's own text."""
        word, size = struct.unpack("<4sI", self._connection.read_exact(8))
        if word == b"FAIL":
            raise SyncRefusal(self._connection.read_exact(min(size, CHUNK_BYTES)).decode("utf-8", errors="replace"))
        return word, size

    def receive(self, path: str, limit_bytes: int = MOST_BYTES) -> Iterator[bytes]:
        """The bytes of ``path``, ended by the device's own DONE.

        Raises:
            SyncRefusal: The device could not.
            DeviceError: It sent more than ``limit_bytes``.
        """
        left = limit_bytes
        self._request(b"RECV", path)
        while True:
            word, size = self._head()
            if word == b"DONE":
                return
            if word != b"DATA" or size > CHUNK_BYTES:
                raise self._nonsense(word)
            left -= size
            if left < 0:
                raise DeviceError(f"{path} came from {self._serial} with more than {limit_bytes:,} bytes")
            yield self._connection.read_exact(size)

    def _request(self, word: bytes, path: str) -> None:
        encoded = path.encode()
        if len(encoded) > PATH_BYTES:
            raise DeviceError(f"a path of {len(encoded)} bytes is too long for {self._serial} (at most {PATH_BYTES})")
        self._connection.conn.sendall(word + struct.pack("<I", len(encoded)) + encoded)

    def _nonsense(self, word: bytes) -> DeviceError:
        return DeviceError(f"{self._serial} answered nonsense while a file was transferred: {word!r}")
