"""``Device``: where an artifact is measured, and all that may be done there.

Commands are argument lists: no caller quotes anything. ``run`` waits for a command, ``stream`` reads its lines while
it runs, ``spawn_detached`` lets it outlive the connection. A command that ends by itself is a ``CommandResult``,
whatever its exit code; a lost connection or a passed deadline is an error, and by then nothing of the command is
left running as far as the device can still be reached.

Exit codes follow the shell: 126 found but not executable (a wrong ABI among others), 127 not found, 128 + N ended by
signal N.
"""

from __future__ import annotations

import math
import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from edgevit.errors import DeviceError
from edgevit.records import Record
from runtimes.devices import processes
from runtimes.devices.figures import whole
from runtimes.devices.packets import CommandStream, Packets, last_lines

KILLED_S = 0.2  # chosen, because the kernel needs no longer to end what was killed

Progress = Callable[[str, int, int], None]
"""Called as ``progress(name, done_bytes, total_bytes)`` while a file is transferred."""

Kind = str
"""A kind of device by its name in ``runtimes.devices.select.DEVICE_KINDS``."""


class CommandResult(Record):
    """How a command ended.

    Attributes:
        rc: Exit code; 128 + N after signal N.
        out: Standard output, decoded as UTF-8 with replacement characters.
        err: Standard error; empty where the device cannot keep the two apart (no ``shell_v2``) and ``out`` holds both.
    """

    rc: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether the exit code is 0."""
        return self.rc == 0

    @property
    def complaint(self) -> str:
        """What the command had to say for itself, on one line, for error messages."""
        return last_lines(self.err) or last_lines(self.out) or f"exit code {self.rc}"


class ProcessHandle(Record):
    """A process that outlives the connection, named so that a reused pid is never mistaken for it.

    Attributes:
        pid: Process id, also the id of its process group.
        start: Start time as the device tells it (field 22 of ``/proc/PID/stat``, or ``ps -o lstart``).
    """

    pid: int
    start: str


def quote(argv: Sequence[str]) -> str:
    """The one shell line that runs ``argv`` with every argument as it is."""
    if not argv:
        raise ValueError("a command needs at least one word")
    return " ".join(shlex.quote(word) for word in argv)


def named(argv: Sequence[str]) -> str:
    """What to call a command in messages: where a shell runs it by a script, the name that the shell was given."""
    return argv[3] if len(argv) > 3 and tuple(argv[:2]) == ("sh", "-c") else argv[0]


def in_context(argv: Sequence[str], *, cwd: str, env: Mapping[str, str] | None = None) -> list[str]:
    """``argv``, to be run in the directory ``cwd`` of the device and with ``env`` added to its environment."""
    added = ["env", *(f"{name}={value}" for name, value in env.items())] if env else []
    return ["sh", "-c", 'cd "$1" || exit 125; shift; exec "$@"', named(argv), cwd, *added, *argv]


class Device(ABC):
    """A place where commands run and files are kept.

    Attributes:
        serial: Its name for ``--device``; ``"host"`` for this machine.
        kind: Its kind: ``adb`` or ``host``.
        adb_server: Address of the server behind which it is; None without one.
        process_log: A file on the device to which streamed and detached processes write "pid start", so that
            they can be found after a crash of this program; set by the device lock.
    """

    serial: str
    kind: Kind
    adb_server: str | None = None
    process_log: str | None = None

    @abstractmethod
    def open_packets(self, argv: Sequence[str], *, start_timeout_s: float, tracked: bool = False) -> Packets:
        """Start ``argv`` and give its raw output; ``run`` and ``stream`` are what callers want.

        ``tracked`` processes are written to ``process_log``.
        """

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> CommandResult:
        """Run a command to its end.

        Raises:
            DeviceTimeoutError: It did not end in ``timeout_s``; it was killed.
            DeviceLostError: The connection ended before the command.
        """
        packets = self.open_packets(argv, start_timeout_s=timeout_s)
        rc, out, err = CommandStream(packets, self._label(argv), heartbeat_s=math.inf, timeout_s=timeout_s).read_all()
        return CommandResult(rc=rc, out=out, err=err)

    def script(self, text: str, *arguments: str, timeout_s: float = 30.0, name: str = "sh") -> CommandResult:
        """Run a POSIX shell script with ``arguments`` as ``$1``, ``$2``...; many questions in one round trip.

        ``name`` is what messages call it.
        """
        return self.run(["sh", "-c", text, name, *arguments], timeout_s)

    def stream(self, argv: Sequence[str], *, heartbeat_s: float, timeout_s: float) -> CommandStream:
        """Start a command and read its standard output line by line while it runs.

        Args:
            argv: The command.
            heartbeat_s: The longest silence (neither output nor errors) that still counts as alive.
            timeout_s: The longest run.

        Returns:
            An iterator of lines and a context manager; leaving it early kills the command. When the lines have ended,
            ``rc`` is the exit code and ``err`` the standard error. The iteration raises ``DeviceTimeoutError`` after
            either deadline (the command is killed) and ``DeviceLostError`` when the connection ends.
        """
        packets = self.open_packets(argv, start_timeout_s=heartbeat_s, tracked=True)
        return CommandStream(packets, self._label(argv), heartbeat_s=heartbeat_s, timeout_s=timeout_s)

    @abstractmethod
    def push(
        self, local: Path, remote: str, *, progress: Progress | None = None, mode: int = 0o644, timeout_s: float = 30.0
    ) -> bool:
        """Bring a file to the device, verified there by SHA-256.

        Skipped when ``remote`` already holds these bytes. Otherwise the bytes go to ``remote + ".part"``, are hashed
        on the device and only then moved to ``remote``; what an interrupted push left in ``.part`` is never trusted.
        Missing parent directories are made.

        Args:
            local: File on this machine.
            remote: Absolute path on the device.
            progress: Called with the file's name, bytes done (from 0 on) and bytes in all; never where it is skipped.
            mode: Permission bits of the file (0o755 for programs).
            timeout_s: The longest time without any progress.

        Returns:
            Whether it was sent; False when ``remote`` held these bytes already.

        Raises:
            DeviceError: Disk full, path not writable, hash wrong: the message says which, and what to do.
            DeviceLostError: The connection ended.
            DeviceTimeoutError: Nothing moved for ``timeout_s``.
        """

    @abstractmethod
    def pull(self, remote: str, local: Path, *, timeout_s: float = 30.0) -> None:
        """Fetch a file; ``local`` is replaced only when every byte has come and the size is right.

        Raises:
            DeviceError: No such file, or a directory; ``local`` is as it was.
            DeviceLostError: The connection ended.
            DeviceTimeoutError: Nothing moved for ``timeout_s``.
        """

    @abstractmethod
    def reconnect(self, timeout_s: float = 20.0) -> None:
        """Get back a device that was lost.

        Raises:
            DeviceLostError: It did not come back in ``timeout_s``.
        """

    @abstractmethod
    def scratch_dir(self) -> str:
        """This program's own directory on the device, where files can be written and programs can be run."""

    def close(self) -> None:  # noqa: B027 (only some transports have something to let go of)
        """Let go of the device; it is not an error to do so twice."""

    def spawn_detached(self, argv: Sequence[str], *, log: str, rc_file: str | None = None) -> ProcessHandle:
        """Start a command that goes on when the connection ends (a cut USB line, for one).

        Args:
            argv: The command.
            log: File on the device that gets its standard output and error.
            rc_file: File on the device that gets the exit code when it has ended.

        Raises:
            DeviceError: It could not be started.
        """
        result = self.script(processes.SPAWN, log, rc_file or "", self.process_log or "", *argv)
        words = result.out.split()
        pid = whole(words[1]) if len(words) == 3 and words[0] == "spawned" else None
        if not result.ok or pid is None:
            raise DeviceError(
                f"'{named(argv)}' could not be started in the background on {self.serial}: {result.complaint}"
            )
        return ProcessHandle(pid=pid, start=words[2])

    def is_alive(self, handle: ProcessHandle) -> bool:
        """Whether that very process still runs; a reused pid and a zombie do not count."""
        return "alive" in self.script(processes.ALIVE, str(handle.pid), handle.start).out

    def kill(self, handle: ProcessHandle, *, timeout_s: float = 5.0) -> bool:
        """End a process and its group: TERM, then KILL after ``timeout_s``. False when it was gone already.

        Raises:
            DeviceError: The process is still there after KILL, or may not be ended.
        """
        first = self.script(processes.SIGNAL, str(handle.pid), handle.start, "TERM")
        if first.rc == processes.GONE:
            return False
        deadline = time.monotonic() + timeout_s
        while self.is_alive(handle):
            if time.monotonic() > deadline:
                self.script(processes.SIGNAL, str(handle.pid), handle.start, "KILL")
                time.sleep(KILLED_S)
                if self.is_alive(handle):
                    raise DeviceError(f"process {handle.pid} on {self.serial} cannot be ended: {first.complaint}")
                break
            time.sleep(0.05)
        return True

    def _label(self, argv: Sequence[str]) -> str:
        return f"'{named(argv)}' on {self.serial}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
