"""A small device-side ADB daemon that goes wrong on purpose.

It speaks enough of the transport (AOSP ``protocol.txt``), the shell services and version 1 of the file service
(``SYNC.TXT``) for the real adb client and server. Commands run in this host's own shell.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (
    int.from_bytes(word, "little") for word in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE")
)
VERSION, MAX_DATA = 0x01000001, 1 << 18
SHELL_OUT, SHELL_ERR, SHELL_EXIT = 1, 2, 3


@dataclass
class Faults:
    """What goes wrong; everything off by default. Byte counts are of the payload of one transfer or command."""

    shell_v2: bool = True
    authorised: bool = True
    merge_with_pty_line_ends: bool = False
    drop_after_push_bytes: int | None = None
    drop_after_pull_bytes: int | None = None
    drop_after_shell_bytes: int | None = None
    hang_after_push_bytes: int | None = None
    hang_after_pull_bytes: int | None = None
    refuse_push: str | None = None
    refuse_push_after_bytes: int = 0
    corrupt_push: bool = False
    garbage_in_sync: bool = False
    garbage_in_shell: bool = False
    end_without_exit: bool = False
    swallow_shell: bool = False  # the command runs, says nothing and is told nothing, not even that the other side went
    only_commands_with: str = ""  # shell faults hit only commands that hold this text


class Dropped(Exception):
    """The cable was pulled."""


@dataclass
class Stream:
    """One service of a connection."""

    local: int
    remote: int
    inbox: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    acked: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    buffer: bytearray = field(default_factory=bytearray)
    task: asyncio.Task[None] | None = None


class Connection:
    """One transport connection from the adb server."""

    def __init__(self, daemon: FaultDaemon, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.daemon = daemon
        self.faults = daemon.faults
        self.reader, self.writer = reader, writer
        self.streams: dict[int, Stream] = {}
        self.next_id = 1

    async def serve(self) -> None:
        """Answer packets until the other side goes, or a fault ends it."""
        try:
            while True:
                command, arg0, arg1, size, _, _ = struct.unpack("<6I", await self.reader.readexactly(24))
                await self.handle(command, arg0, arg1, await self.reader.readexactly(size))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, Dropped):
            pass
        finally:
            for stream in self.streams.values():
                self.end(stream)
            self.writer.close()

    async def send(self, command: int, arg0: int, arg1: int, data: bytes = b"") -> None:
        """Send one packet; checksums are skipped, as version 0x01000001 allows, but the first ones carry theirs."""
        head = struct.pack("<6I", command, arg0, arg1, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF)
        self.writer.write(head + data)
        await self.writer.drain()

    async def handle(self, command: int, arg0: int, arg1: int, data: bytes) -> None:
        """Act on one packet."""
        if command == CNXN and not self.faults.authorised:
            await self.send(AUTH, 1, 0, os.urandom(20))
        elif command == CNXN:
            features = "shell_v2,cmd" if self.faults.shell_v2 else ""
            banner = (
                f"device::ro.product.name=faulty;ro.product.model=Faulty;ro.product.device=faulty;features={features}"
            )
            await self.send(CNXN, VERSION, MAX_DATA, banner.encode())
        elif command == AUTH and arg0 == 2:
            await self.send(AUTH, 1, 0, os.urandom(20))  # a wrong signature: ask again; a public key stays unanswered
        elif command == OPEN:
            stream = Stream(local=self.next_id, remote=arg0)
            self.next_id += 1
            self.streams[stream.local] = stream
            await self.send(OKAY, stream.local, stream.remote)
            stream.task = asyncio.create_task(self.run(stream, data.rstrip(b"\0").decode()))
        elif command == OKAY and arg1 in self.streams:
            self.streams[arg1].acked.set()
        elif command == WRTE and arg1 in self.streams:
            await self.send(OKAY, arg1, arg0)
            self.streams[arg1].inbox.put_nowait(data)
        elif command == CLSE and arg1 in self.streams:
            self.end(self.streams.pop(arg1))

    def end(self, stream: Stream) -> None:
        """The other side closed a stream."""
        if stream.task is not None:
            stream.task.cancel()

    def drop(self) -> None:
        """Pull the cable."""
        self.writer.transport.abort()
        raise Dropped

    async def write(self, stream: Stream, data: bytes) -> None:
        """Write to a stream in pieces, each of which the other side must acknowledge."""
        async with stream.lock:
            for start in range(0, len(data), 1 << 15):
                stream.acked.clear()
                await self.send(WRTE, stream.local, stream.remote, data[start : start + (1 << 15)])
                await stream.acked.wait()

    async def read(self, stream: Stream, size: int) -> bytes:
        """Exactly ``size`` bytes of a stream."""
        while len(stream.buffer) < size:
            stream.buffer += await stream.inbox.get()
        data = bytes(stream.buffer[:size])
        del stream.buffer[:size]
        return data

    async def run(self, stream: Stream, service: str) -> None:
        """Serve one stream to its end."""
        with suppress(Dropped, ConnectionError):
            name, _, rest = service.partition(":")
            if name == "sync":
                await self.sync(stream)
            elif name.split(",")[0] in ("shell", "exec"):
                await self.shell(stream, rest, framed="v2" in name.split(","))
            await self.send(CLSE, stream.local, stream.remote)
            self.streams.pop(stream.local, None)

    async def shell(self, stream: Stream, command: str, *, framed: bool) -> None:
        """Run a command."""
        faulty = self.faults.only_commands_with in command
        if self.faults.garbage_in_shell and faulty:
            await self.write(stream, b"\xff\xff\xff\x00\x00\x00\x00 what a mess" * 4)
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                self.daemon.shell,
                "-c",
                command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE if framed else asyncio.subprocess.STDOUT,
                start_new_session=True,
                env=self.daemon.env,
            )
        )
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await self.hang_up(await starting)
            raise
        if self.faults.swallow_shell and faulty:
            self.daemon.swallowed.append(process)
            await asyncio.Event().wait()
        pumps = [self.pump(stream, process.stdout, SHELL_OUT if framed else 0, faulty)]
        if framed:
            pumps.append(self.pump(stream, process.stderr, SHELL_ERR, faulty))
        try:
            await asyncio.gather(*pumps)
            code = await process.wait()
        finally:
            await self.hang_up(process)
        if framed and not (self.faults.end_without_exit and faulty):
            await self.write(stream, struct.pack("<BIB", SHELL_EXIT, 1, code if code >= 0 else 128 - code))

    @staticmethod
    async def hang_up(process: asyncio.subprocess.Process) -> None:
        """Like adbd, tell the shell, and only the shell, that the other side went; then free the pipes."""
        try:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGHUP)
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 5)
        finally:  # the daemon may end meanwhile
            process._transport.close()  # kills the shell (without its family) if it heeds no hang-up

    async def pump(self, stream: Stream, pipe: asyncio.StreamReader | None, kind: int, faulty: bool) -> None:
        """Send what a command prints."""
        assert pipe is not None
        sent, limit = 0, self.faults.drop_after_shell_bytes if faulty else None
        while data := await pipe.read(1 << 14):
            if self.faults.merge_with_pty_line_ends:
                data = data.replace(b"\n", b"\r\n")
            whole = limit is None or sent + len(data) <= limit
            data = data if whole else data[: (limit or 0) - sent]
            await self.write(stream, struct.pack("<BI", kind, len(data)) + data if kind else data)
            sent += len(data)
            if not whole:
                self.drop()

    async def sync(self, stream: Stream) -> None:
        """Serve STAT, SEND and RECV."""
        while True:
            word, size = struct.unpack("<4sI", await self.read(stream, 8))
            path = (await self.read(stream, size)).decode()
            if self.faults.garbage_in_sync:
                await self.write(stream, b"XYZW" * 8)
            elif word == b"STAT":
                facts = Path(path).stat() if Path(path).exists() else None
                numbers = (facts.st_mode, facts.st_size, int(facts.st_mtime)) if facts else (0, 0, 0)
                await self.write(stream, struct.pack("<4s3I", b"STAT", *numbers))
            elif word == b"SEND":
                await self.receive_file(stream, *path.rsplit(",", 1))
            elif word == b"RECV":
                await self.send_file(stream, path)
            else:
                return

    async def receive_file(self, stream: Stream, path: str, mode: str) -> None:
        """SEND: take a file."""
        done, refused = 0, False
        with Path(path).open("wb") as file:
            while True:
                word, size = struct.unpack("<4sI", await self.read(stream, 8))
                if word == b"DONE":
                    break
                data = await self.read(stream, size)
                file.write(bytes([data[0] ^ 1]) + data[1:] if self.faults.corrupt_push and not done else data)
                done += size
                refused = refused or await self.push_faults(stream, done)
        Path(path).chmod(stat.S_IMODE(int(mode)))
        if not refused:
            await self.write(stream, struct.pack("<4sI", b"OKAY", 0))

    async def push_faults(self, stream: Stream, done: int) -> bool:
        """Whatever shall happen after ``done`` bytes; whether the push was refused."""
        faults = self.faults
        if faults.drop_after_push_bytes is not None and done > faults.drop_after_push_bytes:
            self.drop()
        if faults.hang_after_push_bytes is not None and done > faults.hang_after_push_bytes:
            await asyncio.sleep(3600)
        if faults.refuse_push is not None and done > faults.refuse_push_after_bytes:
            reason = faults.refuse_push.encode()
            await self.write(stream, struct.pack("<4sI", b"FAIL", len(reason)) + reason)
            return True
        return False

    async def send_file(self, stream: Stream, path: str) -> None:
        """RECV: give a file."""
        faults, done = self.faults, 0
        if not Path(path).is_file():
            reason = b"No such file or directory"
            await self.write(stream, struct.pack("<4sI", b"FAIL", len(reason)) + reason)
            return
        with Path(path).open("rb") as file:
            while data := file.read(1 << 15):
                await self.write(stream, struct.pack("<4sI", b"DATA", len(data)) + data)
                done += len(data)
                if faults.drop_after_pull_bytes is not None and done > faults.drop_after_pull_bytes:
                    self.drop()
                if faults.hang_after_pull_bytes is not None and done > faults.hang_after_pull_bytes:
                    await asyncio.sleep(3600)
        await self.write(stream, struct.pack("<4sI", b"DONE", 0))


class FaultDaemon:
    """The daemon in a thread of its own; a context manager.

    Attributes:
        faults: May be changed at any time.
        serial: ``127.0.0.1:PORT``.
    """

    def __init__(self, faults: Faults | None = None, *, env: dict[str, str] | None = None) -> None:
        self.faults = faults or Faults()
        self.env = {**os.environ, **(env or {})}
        self.shell = os.environ.get("EDGEVIT_TEST_SHELL", "/bin/sh")  # mksh, BusyBox: what devices have
        self.swallowed: list[asyncio.subprocess.Process] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    async def _serve(self) -> None:
        server = await asyncio.start_server(lambda r, w: Connection(self, r, w).serve(), sock=self._socket)
        await self._stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # pipes close in the loop's next turns

    def __enter__(self) -> FaultDaemon:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
        self._loop.close()
