"""Readers with faults, by which the harness is tested: it must find every one of them."""

from __future__ import annotations

import ctypes
import os
import pickle
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from fuzz_mutation import Kind
from fuzz_reader import Reader

from edgevit.errors import ArtifactError, UsageError
from edgevit.records import Record


class Figure(Record):
    """A record that may hold what JSON cannot."""

    value: float


def _refuse(data: bytes, room: Path) -> object:
    if data != SEED:
        raise ArtifactError("not the seed")
    return data


def _key_error(data: bytes, room: Path) -> object:
    return {SEED: 1}[data]


def _loop(data: bytes, room: Path) -> object:
    while data != SEED:
        pass
    return data


def _sleep(data: bytes, room: Path) -> object:
    if data != SEED:
        time.sleep(3600)
    return data


def _touch(data: bytes, room: Path) -> object:
    """Memory that is really used, in steps that a limit on each would let through."""
    return data if data == SEED else [bytearray(b"x") * (64 << 20) for _ in range(32)]


def _reserve(data: bytes, room: Path) -> object:
    """Memory that cannot be had, told as if the file were at fault."""
    try:
        return data if data == SEED else bytearray(1 << 50)
    except MemoryError as error:
        raise ArtifactError("not readable") from error


def _outside(data: bytes, room: Path) -> object:
    if data != SEED:
        Path("/tmp/planted-by-a-reader").write_bytes(data)
    return data


def _native(data: bytes, room: Path) -> object:
    """Past Python, where no audit event tells."""
    if data != SEED:
        os.close(ctypes.CDLL(None).creat(b"planted", 0o600))
    return data


def _program(data: bytes, room: Path) -> object:
    return data if data == SEED else subprocess.run(["true"], check=True)


def _connect(data: bytes, room: Path) -> object:
    return data if data == SEED else socket.create_connection(("127.0.0.1", 9), timeout=0.1)


def _unpickle(data: bytes, room: Path) -> object:
    return data if data == SEED else pickle.loads(b"cos\ngetcwd\n.")


def _crash(data: bytes, room: Path) -> object:
    return data if data == SEED else ctypes.string_at(8)


def _leave(data: bytes, room: Path) -> object:
    if data != SEED:
        os._exit(0)
    return data


def _usage(data: bytes, room: Path) -> object:
    if data != SEED:
        raise UsageError("not one of its own kinds")
    return data


def _infinite(data: bytes, room: Path) -> object:
    return Figure(value=1.0 if data == SEED else float("inf"))


def _deep(data: bytes, room: Path) -> object:
    return data if data == SEED else _deep(data, room)


SEED = b"a sound input"
_PLANTED: dict[str, Callable[[bytes, Path], object]] = {
    "sound": _refuse, "key-error": _key_error, "loop": _loop, "sleep": _sleep, "touch": _touch, "reserve": _reserve,
    "outside": _outside, "native": _native, "program": _program, "connect": _connect, "unpickle": _unpickle,
    "crash": _crash,
    "leave": _leave, "usage": _usage, "infinite": _infinite, "deep": _deep,
}  # fmt: skip
READERS = {
    name: Reader(name, "", call, (ArtifactError,), lambda: [SEED], Kind.BINARY) for name, call in _PLANTED.items()
}
