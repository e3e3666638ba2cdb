"""One run per device at a time: a lock on this host, a lock on the device, and a dead man's switch there.

The device's lock is a directory. It holds the owner, a deadline in seconds since boot, the processes that were
started, and ``restore.sh``. When the deadline passes (this host crashed, or its cable never came back), a small
process on the device ends what still runs, undoes what was changed and removes the directory; whoever comes next does
the same.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import IO, Self

from edgevit.errors import DeviceError, RestoreError
from edgevit.names import file_name
from edgevit.temporary import NO_LOCKS
from runtimes.conditions.journal import (
    RESTORE_HINT,
    Change,
    Journal,
    Report,
    restore,
    state_home,
    tell,
    writing_state,
)
from runtimes.conditions.owner import in_words, is_dead, new_owner
from runtimes.devices.device import Device, ProcessHandle
from runtimes.devices.processes import START_OF

LEASE_S = 1800.0  # chosen, because a phone may stay awake for half an hour after a crash of this host, not longer
WATCH_PERIOD_S = 15  # chosen, because it wakes the phone rarely and is short against the lease
OWNERLESS_S = 2.0  # a lock without an owner: another run between two of its steps, or, after this, one that crashed

# $1 lock directory. What its processes file names and still runs is ended, then what was changed is undone.
_SWEEP = (
    START_OF
    + """
sweep() {
  while read -r pid start; do
    [ -n "$start" ] && [ "$(start_of "$pid")" = "$start" ] && { kill -9 "-$pid" 2>/dev/null || kill -9 "$pid"; }
  done 2>/dev/null <"$1/processes"
  [ -f "$1/restore.sh" ] && sh "$1/restore.sh" >/dev/null 2>&1
  rm -rf "$1"
}
up() { if [ -r /proc/uptime ]; then read -r u _ </proc/uptime; echo "${u%.*}"; else date +%s; fi; }
boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo -; }
"""
)

# $1 directory, $2 owner, $3 lease in s, $4 owner that may be evicted. Exit 4: held; the owner is printed.
_ACQUIRE = (
    _SWEEP
    + """
if ! mkdir "$1" 2>/dev/null; then
  [ -d "$1" ] || { mkdir "$1"; exit 1; }
  owner=$(cat "$1/owner" 2>/dev/null); until=$(cat "$1/until" 2>/dev/null); on=$(cat "$1/boot" 2>/dev/null)
  if [ "${owner:--}" != "$4" ] && [ "$on" = "$(boot)" ] && [ "$(up)" -lt "${until:-0}" ]; then
    echo "$owner"; exit 4
  fi
  if [ -z "$owner" ] && [ "$4" != - ]; then echo; exit 4; fi
  mv "$1" "$1.old.$$" 2>/dev/null && sweep "$1.old.$$"
  mkdir "$1" 2>/dev/null || { cat "$1/owner" 2>/dev/null; exit 4; }
  echo evicted
fi
boot >"$1/boot"; echo $(($(up) + $3)) >"$1/until"; : >"$1/processes"; echo "$2" >"$1/owner"
"""
)

_RENEW = _SWEEP + '[ "$(cat "$1/owner" 2>/dev/null)" = "$2" ] && boot >"$1/boot" && echo $(($(up) + $3)) >"$1/until"'
_RELEASE = _SWEEP + '[ "$(cat "$1/owner" 2>/dev/null)" = "$2" ] && sweep "$1"; true'
_WATCH = (
    _SWEEP
    + """
while sleep "$3"; do
  [ "$(cat "$1/owner" 2>/dev/null)" = "$2" ] || exit 0
  [ "$(up)" -lt "$(cat "$1/until")" ] && continue
  mv "$1" "$1.dead.$$" && sweep "$1.dead.$$"
  exit 0
done
"""
)


class DeviceSession:
    """The sole right to a device, and what is changed on it; a context manager.

    Entering takes both locks and first undoes what an earlier run left behind. Leaving (also by Ctrl-C, or through
    ``end_all_sessions``) undoes all changes, ends what was started, and gives the locks back.

    Args:
        device: The device.
        lease_s: How long the device keeps the changes without hearing from this host; see ``extend``.
        report: Told of each thing that is brought back.
        watch_period_s: How often the device looks at the deadline.

    Attributes:
        owner: What the lock on the device says about us.

    Raises (on entering):
        DeviceError: Another run has the device; the message says whose.
        RestoreError: What an earlier run left cannot be brought back.
    """

    def __init__(
        self,
        device: Device,
        *,
        lease_s: float = LEASE_S,
        report: Report | None = None,
        watch_period_s: int = WATCH_PERIOD_S,
    ) -> None:
        self.device = device
        self._lease_s = lease_s
        self._report = report
        self._watch_period_s = watch_period_s
        self._directory = ""
        self.owner = new_owner()
        self._file: IO[str]
        self._journal: Journal
        self._watcher: ProcessHandle | None = None
        self._ending = threading.RLock()
        self._is_open = False

    def __enter__(self) -> Self:
        self._file = _lock_host(self.device.serial)
        try:
            restore(self.device, self._report)
            self._directory = f"{self.device.scratch_dir()}/session"
            self._acquire()
        except BaseException:
            self._file.close()
            raise
        self._journal = Journal(self.device, restore_script=f"{self._directory}/restore.sh")
        self._is_open = True
        _OPEN.append(self)
        try:
            self._journal.open()
            self._start_watcher()
        except BaseException:
            self.end()
            raise
        return self

    def _acquire(self) -> None:
        evictable = "none"
        given_up_s = time.monotonic() + OWNERLESS_S
        while True:
            result = self.device.script(_ACQUIRE, self._directory, self.owner, str(int(self._lease_s)), evictable)
            if result.ok:
                self.device.process_log = f"{self._directory}/processes"
                return
            if result.rc != 4:
                raise DeviceError(f"{self.device.serial} cannot be locked: {result.complaint}")
            owner = result.out.strip()
            if owner and not is_dead(owner, [session.owner for session in _OPEN]):
                raise DeviceError(
                    f"{self.device.serial} is in use by {in_words(owner)}",
                    hint=f"wait for it to end; after a crash there: {RESTORE_HINT}",
                )
            if owner:
                evictable = owner
            else:
                time.sleep(0.2)
                evictable = "-" if time.monotonic() > given_up_s else evictable

    def _start_watcher(self) -> None:
        log_file, self.device.process_log = self.device.process_log, None
        period = str(self._watch_period_s)
        command = ["sh", "-c", _WATCH, "sh", self._directory, self.owner, period]
        self._watcher = self.device.spawn_detached(command, log=f"{self._directory}.watch")
        self.device.process_log = log_file

    def make(self, change: Change) -> None:
        """Change something until the end of the session; see ``Journal.make``."""
        with self._ending:  # what another thread ends meanwhile would be changed behind its undoing
            if not self._is_open:
                raise DeviceError(f"the session on {self.device.serial} is not open")
            self._journal.make(change)

    def extend(self, lease_s: float | None = None) -> None:
        """Give the device a new deadline, counted from now; call it before whatever takes long.

        Raises:
            DeviceError: The lock is not ours any more: the deadline had passed.
        """
        lease = str(int(lease_s if lease_s is not None else self._lease_s))
        if not self.device.script(_RENEW, self._directory, self.owner, lease).ok:
            raise DeviceError(
                f"the lock on {self.device.serial} is gone: its deadline passed, and the device undid all changes",
                hint="run again with a longer timeout",
            )

    def end(self) -> None:
        """Undo, clean up and unlock; the second call does nothing.

        Raises:
            RestoreError: Something is not as it was found.
            DeviceLostError, DeviceTimeoutError: The device is gone; journal and dead man's switch remain.
        """
        with self._ending, _shielded():
            if not self._is_open:
                return
            self._is_open = False
            try:
                self._undo_and_release()
            finally:
                self.device.process_log = None
                _OPEN.remove(self)
                self._file.close()

    def _undo_and_release(self) -> None:
        try:
            self._journal.undo_all(self._report)
        except RestoreError:
            self._release()  # the next run may well do better, and must not be locked out
            raise
        self._release()
        self._journal.close()

    def _release(self) -> None:
        self.device.script(_RELEASE, self._directory, self.owner)
        if self._watcher is not None:
            self.device.kill(self._watcher, timeout_s=2.0)
        self.device.run(["rm", "-f", f"{self._directory}.watch"])

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self.end()
            return
        try:
            self.end()
        except DeviceError as second:
            told = f"{second.message} (hint: {second.hint})"
            error.add_note(told)
            tell(self._report, told)


_OPEN: list[DeviceSession] = []


def end_all_sessions() -> None:
    """End every open session, for the front door's last act after a signal: worker threads get none.

    What cannot be brought back stays in its journal.
    """
    for session in _OPEN.copy():
        with suppress(DeviceError):
            session.end()


@contextmanager
def ending_sessions_on_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP unwind the stack like Ctrl-C does, and end all sessions when the block is left.

    To be used once, in the main thread, around everything that opens sessions.
    """

    def unwind(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    with _handled(unwind, signal.SIGTERM, signal.SIGHUP):
        try:
            yield
        finally:
            end_all_sessions()


def _shielded() -> AbstractContextManager[None]:
    """Keep an impatient second Ctrl-C from cutting the clean-up short; all of its steps have deadlines."""
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()  # other threads get no signals
    return _handled(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _handled(handler: Callable[[int, object], None] | signal.Handlers, *numbers: signal.Signals) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def is_in_use(serial: str) -> bool:
    """Whether a session of this host has the device, as far as its lock here tells."""
    path = state_home() / "locks" / f"{file_name(serial)}.lock"
    try:
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _lock_host(serial: str) -> IO[str]:
    path = state_home() / "locks" / f"{file_name(serial)}.lock"
    with writing_state(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise DeviceError(
            f"{serial} is in use by {holder} on this host", hint="wait for it to end, or end it"
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            file.close()
            raise DeviceError(f"{path} cannot be locked: {error.strerror or error}") from error
        # The lock on the device has to do where this host's file system has none.
    with suppress(OSError):  # unbuffered: what a full disk refuses would be tried again as the lock is given back
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"pid {os.getpid()}\n".encode())
    return file
