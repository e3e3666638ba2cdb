"""This machine as a device: the same contract, on ``subprocess`` and process groups."""

from __future__ import annotations

import errno
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from edgevit.errors import DeviceError
from edgevit.records import atomic_path, sha256_file
from runtimes.devices.attached import HOST, USABLE, AttachedDevice
from runtimes.devices.device import Device, Progress
from runtimes.devices.packets import Channel, KnownPackets, Packet, Packets
from runtimes.devices.processes import LOG_SELF

CHUNK_BYTES = 1 << 20  # chosen, because progress is then told often enough


class HostDevice(Device):
    """This machine.

    Args:
        scratch: Directory for this program's files; None for ``edgevit-export-UID`` in the temporary directory.
    """

    serial = HOST
    kind = "host"

    def __init__(self, scratch: Path | None = None) -> None:
        self._scratch = scratch

    def open_packets(self, argv: Sequence[str], *, start_timeout_s: float, tracked: bool = False) -> Packets:
        """Start ``argv`` in a process group of its own; what cannot be started is an exit code, as in a shell."""
        words = list(argv)
        if tracked and self.process_log is not None and shutil.which(argv[0]) is not None:
            words = ["sh", "-c", LOG_SELF + 'exec "$@"', self.process_log, *argv]
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return _not_started(argv[0], error)
        return _ProcessPackets(process)

    def push(
        self, local: Path, remote: str, *, progress: Progress | None = None, mode: int = 0o644, timeout_s: float = 30.0
    ) -> bool:
        """Copy and hash the copy, unless these bytes are there already."""
        target = Path(remote)
        digest, size = sha256_file(local), local.stat().st_size
        try:
            if target.is_file() and target.stat().st_size == size and sha256_file(target) == digest:
                target.chmod(mode)
                return False
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as part:
                _copy(local, part, progress)
                part.chmod(mode)
                if sha256_file(part) != digest:
                    raise DeviceError(f"the copy of {local} at {target} differs from the original: is the disk sound?")
        except OSError as error:
            raise _refused(f"cannot copy {local} to {target}", error) from error
        return True

    def pull(self, remote: str, local: Path, *, timeout_s: float = 30.0) -> None:
        """Copy; ``local`` is replaced only when all of it is written."""
        source = Path(remote)
        if not source.is_file():
            kind = "is a directory" if source.is_dir() else "does not exist"
            raise DeviceError(f"cannot fetch {remote} from host: it {kind}")
        try:
            with atomic_path(local) as part:
                _copy(source, part, None)
        except OSError as error:
            raise _refused(f"cannot copy {source} to {local}", error) from error

    def reconnect(self, timeout_s: float = 20.0) -> None:
        """Nothing to do: this machine cannot be lost."""

    def scratch_dir(self) -> str:
        """A directory that is this user's alone."""
        if self._scratch is None:
            self._scratch = Path(tempfile.gettempdir()) / f"edgevit-export-{os.getuid()}"
        try:
            self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = self._scratch.stat().st_uid
        except OSError as error:
            hint = "choose a directory that can be made, and written to, with --remote-dir"
            raise DeviceError(f"cannot make the directory {self._scratch}: {error.strerror}", hint=hint) from error
        if owner != os.getuid():
            raise DeviceError(f"{self._scratch} belongs to someone else", hint="set TMPDIR to a directory of your own")
        return str(self._scratch.resolve())


def attached(adb_server: str | None) -> tuple[AttachedDevice, ...]:
    """This machine, as the only device of its kind; there is no server to ask."""
    return (AttachedDevice(serial=HOST, kind="host", state=USABLE, model=None, hint=None),)


def open_device(serial: str, adb_server: str | None, remote_dir: str | None) -> HostDevice:
    """This machine, with ``remote_dir`` for this program's files."""
    return HostDevice(Path(remote_dir) if remote_dir else None)


def _not_started(program: str, error: Exception) -> KnownPackets:
    """A command that could not be started, told the way a shell tells it."""
    missing = isinstance(error, FileNotFoundError)
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    said = f"{program}: {'not found' if missing else reason}\n".encode()
    return KnownPackets([Packet(Channel.ERR, said), Packet(Channel.EXIT, rc=127 if missing else 126)])


class _ProcessPackets:
    """A child in its own process group; both pipes are read through one selector."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._selector = selectors.DefaultSelector()
        assert process.stdout is not None and process.stderr is not None
        self._pipes = {process.stdout: Channel.OUT, process.stderr: Channel.ERR}
        for pipe, channel in self._pipes.items():
            self._selector.register(pipe, selectors.EVENT_READ, channel)

    def read(self, timeout_s: float) -> Packet:
        deadline = time.monotonic() + timeout_s
        while self._selector.get_map():
            events = self._selector.select(max(0.0, deadline - time.monotonic()))
            if not events:
                raise TimeoutError
            key = events[0][0]
            data = os.read(key.fd, 1 << 16)
            if data:
                return Packet(key.data, data)
            self._selector.unregister(key.fileobj)
        try:
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        return Packet(Channel.EXIT, rc=code if code >= 0 else 128 - code)

    def close(self, *, kill: bool) -> None:
        try:
            if kill:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(5)
        finally:
            self._selector.close()
            for pipe in self._pipes:
                pipe.close()


def _copy(source: Path, target: Path, progress: Progress | None) -> None:
    tell = progress or (lambda name, done, total: None)
    done, total = 0, source.stat().st_size
    tell(source.name, done, total)
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            writer.write(chunk)
            done += len(chunk)
            tell(source.name, done, total)


def _refused(what: str, error: OSError) -> DeviceError:
    hints = {
        errno.ENOSPC: "free some space, or choose another directory with --remote-dir",
        errno.EACCES: "choose a directory that you may write to with --remote-dir",
        errno.EROFS: "choose a directory on a writable file system with --remote-dir",
    }
    return DeviceError(f"{what}: {error.strerror}", hint=hints.get(error.errno or 0))
