"""A device behind an adb server, through adbutils."""

from __future__ import annotations

import hashlib
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError, UsageError
from edgevit.records import atomic_path, sha256_file
from runtimes.devices.adb import push as adb_push
from runtimes.devices.adb.server import LISTING, ServerAddress, connect_client, is_listening, translated
from runtimes.devices.adb.shell import AdbPackets, wrap_command
from runtimes.devices.adb.sync import MOST_BYTES, SyncChannel, SyncRefusal
from runtimes.devices.attached import USABLE
from runtimes.devices.device import Device, Progress, named, quote
from runtimes.devices.packets import Packets
from runtimes.devices.processes import END_NAMED, SIGNAL

if TYPE_CHECKING:
    from adbutils import AdbConnection

HASH_BYTES_PER_S = 20e6  # chosen, because the slowest hash program (toybox on an old core) is faster
ROUND_TRIP_S = 10.0  # chosen, because it is a hundred times what a round trip takes

SCRATCH_CHOICES = ("/data/local/tmp/edgevit-export", "/tmp/edgevit-export-UID", "/var/tmp/edgevit-export-UID")

# $1... candidates. A directory counts when a program in it can be started: /sdcard and many /tmp cannot do that.
_FIND_SCRATCH = """
sh=/bin/sh; [ -x /system/bin/sh ] && sh=/system/bin/sh
for dir in "$@"; do
  case $dir in *-UID) dir=${dir%UID}$(id -u) ;; esac
  mkdir -p "$dir" || continue
  try=$dir/.try.$$
  { echo "#!$sh"; echo 'echo runs'; } >"$try" || continue
  chmod 755 "$try"; said=$("$try"); rm -f "$try"
  [ "$said" = runs ] && { echo "$dir"; exit 0; }
  echo "programs in $dir cannot be run" >&2
done
exit 1
"""


class AdbDevice(Device):
    """A device that an adb server knows.

    Args:
        serial: Its serial, or ``HOST:PORT`` for one that was connected over the network.
        server: The adb server.
        scratch: This program's directory on the device; None to look for one.

    Raises:
        DeviceError: It is unauthorised, or refuses.
        DeviceLostError: It is offline or not attached.
    """

    kind = "adb"

    def __init__(self, serial: str, server: ServerAddress, *, scratch: str | None = None) -> None:
        if scratch is not None and not scratch.startswith("/"):
            raise UsageError(f"the directory on the device must be an absolute path, not '{scratch}'")
        self.serial = serial
        self.adb_server = str(server)
        self._server = server
        self._scratch_choices = SCRATCH_CHOICES if scratch is None else (scratch,)
        self._scratch: str | None = None
        self._ending = False
        self._open()

    def _open(self) -> None:
        self._client = connect_client(self._server)
        with translated(self.serial, "connecting"):
            features = self._client.device(serial=self.serial).get_features()
        self._merged = "shell_v2" not in features.split(",")

    def _service(self, name: str, timeout_s: float) -> AdbConnection:
        """An open service of the device's daemon, whose socket raises ``TimeoutError`` after ``timeout_s``."""
        if not is_listening(self._server):  # adbutils itself would start another, elsewhere
            raise DeviceLostError(f"the adb server at {self._server} is gone", hint=LISTING)
        connection = self._client.make_connection(timeout=timeout_s)
        try:  # adbutils' own way to a device leaves the connection open where the device is refused
            for step in (f"host:transport:{self.serial}", name):
                connection.send_command(step)
                connection.check_okay()
        except BaseException:
            connection.close()
            raise
        return connection

    def open_packets(self, argv: Sequence[str], *, start_timeout_s: float, tracked: bool = False) -> Packets:
        """Start ``argv`` through the daemon's shell."""
        nonce = f"@{secrets.token_hex(8)}"
        log = quote([self.process_log]) if tracked and self.process_log else None
        line = wrap_command(quote(argv), nonce, log=log, exit_marker=self._merged)
        end = partial(self._end_group, nonce)
        try:
            with translated(self.serial, f"starting '{named(argv)}'"):
                connection = self._service(("shell:" if self._merged else "shell,v2,raw:") + line, start_timeout_s)
        except DeviceTimeoutError:
            end(None)  # it may have been started all the same
            raise
        return AdbPackets(connection, nonce, merged=self._merged, serial=self.serial, end=end)

    def _end_group(self, nonce: str, process: tuple[int, str] | None) -> None:
        """End a command by its number, or where it is not known by the word in its shell's command line."""
        if self._ending:
            return
        self._ending = True  # the killer itself may fail to end; it must not call for a killer
        try:
            with suppress(DeviceError):
                if process is None:
                    self.script(END_NAMED, nonce[:8], nonce[8:], timeout_s=ROUND_TRIP_S)
                elif process[1]:
                    self.script(SIGNAL, str(process[0]), process[1], "KILL", timeout_s=3.0)
        finally:
            self._ending = False

    @contextmanager
    def _sync(self, doing: str, timeout_s: float) -> Iterator[SyncChannel]:
        with translated(self.serial, doing), closing(self._service("sync:", timeout_s)) as connection:
            yield SyncChannel(connection, self.serial)

    def push(
        self, local: Path, remote: str, *, progress: Progress | None = None, mode: int = 0o644, timeout_s: float = 30.0
    ) -> bool:
        """Hash what is there, send to ``.part``, hash that on the device, and only then give it its name."""
        _require_absolute(remote)
        try:
            digest, size = sha256_file(local), local.stat().st_size
        except OSError as error:
            raise UsageError(f"cannot read {local}: {error.strerror}") from error
        hash_timeout_s = timeout_s + size / HASH_BYTES_PER_S
        there = adb_push.prepare(self, remote, size, mode, hash_timeout_s)
        if there == adb_push.NOT_HASHED:
            there = self._read_back(remote, size, timeout_s)
        if there == digest:
            return False
        try:
            self._send(local, remote, mode, progress, timeout_s)
            seen = adb_push.settle(self, remote, digest, mode, hash_timeout_s)
            by_device = seen != adb_push.NOT_HASHED
            if not by_device:
                seen = self._read_back(f"{remote}.part", size, timeout_s)
            if seen != digest:
                raise DeviceError(
                    f"{local.name} arrived on {self.serial} with SHA-256 {seen}, expected {digest}",
                    hint="try again; if it happens twice, try another cable or port",
                )
            if not by_device:
                adb_push.move_into_place(self, remote, mode)
        except (DeviceLostError, DeviceTimeoutError):
            raise  # nobody there to ask; the next push removes the leftover
        except BaseException:
            with suppress(DeviceError):  # of no consequence, as no later push would trust it
                self.run(["rm", "-f", f"{remote}.part"], timeout_s=5.0)
            raise
        return True

    def _send(self, local: Path, remote: str, mode: int, progress: Progress | None, timeout_s: float) -> None:
        size = local.stat().st_size
        try:
            with self._sync(f"{local.name} was pushed", timeout_s) as channel, local.open("rb") as source:
                for done in channel.send(source, f"{remote}.part", mode):
                    if progress is not None:
                        progress(local.name, done, size)
        except SyncRefusal as error:
            raise adb_push.refusal(self, remote, str(error)) from error

    def _read_back(self, remote: str, size_bytes: int, timeout_s: float) -> str:
        digest = hashlib.sha256()
        try:
            with self._sync(f"{remote} was read back", timeout_s) as channel:
                for chunk in channel.receive(remote, size_bytes):
                    digest.update(chunk)
        except SyncRefusal as error:
            raise DeviceError(f"{remote} cannot be read back from {self.serial}: {error}") from error
        return digest.hexdigest()

    def pull(self, remote: str, local: Path, *, timeout_s: float = 30.0) -> None:
        """Receive to the device's own end of the file, and compare with the size that it told."""
        _require_absolute(remote)
        done = 0
        try:
            with self._sync(f"{remote} was pulled", timeout_s) as channel:
                file_mode, size = channel.stat(remote)
                if not stat.S_ISREG(file_mode):
                    kind = "is a directory" if stat.S_ISDIR(file_mode) else "is not a file there, or may not be read"
                    raise DeviceError(f"cannot fetch {remote} from {self.serial}: it {kind}")
                if size > MOST_BYTES:
                    raise DeviceError(f"{remote} on {self.serial} has {size:,} bytes, expected {MOST_BYTES:,} at most")
                with _local_target(local) as part, part.open("wb") as writer:
                    for chunk in channel.receive(remote, size):
                        writer.write(chunk)
                        done += len(chunk)
                    if done != size:
                        raise DeviceError(
                            f"{remote} came from {self.serial} with {done} bytes, expected {size}",
                            hint="is something still writing it?",
                        )
        except SyncRefusal as error:
            raise DeviceError(f"cannot fetch {remote} from {self.serial}: {error}") from error

    def reconnect(self, timeout_s: float = 20.0) -> None:
        """Try until the device runs commands again; one of the network is connected anew."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._try_again()
                return
            except DeviceError as error:
                if time.monotonic() > deadline:
                    raise DeviceLostError(
                        f"{self.serial} did not come back within {timeout_s:g} s: {error.message}",
                        hint=error.hint or "check the cable or network, then: edgevit-export devices",
                    ) from error
            time.sleep(0.25)

    def _try_again(self) -> None:
        client = connect_client(self._server)
        with translated(self.serial, "reconnecting"):
            states = {each.serial: each.state for each in client.list()}
            if ":" in self.serial and states.get(self.serial) != USABLE:
                # A lost network device stays "offline", and "connect" alone then says that it is connected already.
                client.disconnect(self.serial)
                client.connect(self.serial, timeout=ROUND_TRIP_S)
        self._open()
        if not self.run(["true"], timeout_s=5.0).ok:
            raise DeviceLostError(f"{self.serial} runs no commands")

    def scratch_dir(self) -> str:
        """The named directory, or the first of ``SCRATCH_CHOICES`` where a program can be started."""
        if self._scratch is None:
            result = self.script(_FIND_SCRATCH, *self._scratch_choices, timeout_s=ROUND_TRIP_S)
            if not result.ok:
                raise DeviceError(
                    f"no directory of {self.serial} takes files and runs programs, "
                    f"tried {', '.join(self._scratch_choices)}: {result.complaint}",
                    hint="name another one with --remote-dir",
                )
            self._scratch = result.out.strip()
        return self._scratch


def _require_absolute(remote: str) -> None:
    if not remote.startswith("/") or "\0" in remote:
        raise UsageError(f"a path on the device must be absolute, not '{remote}'")


@contextmanager
def _local_target(local: Path) -> Iterator[Path]:
    """``atomic_path`` whose own errors are not mistaken for the device's."""
    try:
        with atomic_path(local) as part:
            yield part
    except OSError as error:
        if isinstance(error, (ConnectionError, TimeoutError)):
            raise
        raise DeviceError(f"cannot write {local}: {error.strerror}") from error
