"""Processes that outlive the connection: started, found again and ended by pid and start time together.

Every script here runs on toybox, BusyBox and desktop shells alike.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgevit.errors import DeviceError

if TYPE_CHECKING:
    from runtimes.devices.device import Device, ProcessHandle

# The start time is field 22 of /proc/PID/stat, the 20th behind the name, which may itself hold spaces and brackets.
START_OF = (
    'start_of() { if [ -d /proc/self ]; then read -r _l <"/proc/$1/stat" || return 0; _l=${_l##*) }; set -- $_l; '
    '[ "$1" = Z ] || { shift 19; echo "$1"; }; '
    'else ps -o lstart= -p "$1" | tr -s " " _; fi 2>/dev/null; }; '
)

# Runs inside the shell that is to become the process; $0 is the log. A lock that is gone ends nothing: hence the test.
LOG_SELF = START_OF + 'if [ -e "$0" ]; then echo "$$ $(start_of $$)" >>"$0"; fi 2>/dev/null; '

_SPAWN = (
    START_OF
    + """
log=$1; rcfile=$2; plog=$3; shift 3
how=; for word in setsid nohup; do command -v $word >/dev/null 2>&1 && { how=$word; break; }; done
pidfile=$log.pid; rm -f "$pidfile"; : >"$log" || exit 1
$how sh -c '
  pidfile=$1; rcfile=$2; shift 2
  echo $$ >"$pidfile.new"; mv "$pidfile.new" "$pidfile"
  if [ -n "$rcfile" ]; then "$@"; rc=$?; echo $rc >"$rcfile.new"; mv "$rcfile.new" "$rcfile"; exit $rc; fi
  exec "$@"' sh "$pidfile" "$rcfile" "$@" </dev/null >>"$log" 2>&1 &
tries=0
while [ ! -s "$pidfile" ] && [ $tries -lt 100 ]; do tries=$((tries+1)); sleep 0.05 2>/dev/null || sleep 1; done
read -r pid <"$pidfile" || exit 1
rm -f "$pidfile"; start=$(start_of "$pid")
[ -e "$plog" ] && echo "$pid $start" >>"$plog"
echo "spawned $pid ${start:-gone}"
"""
)

_ALIVE = START_OF + '[ "$(start_of "$1")" = "$2" ] && echo alive'

# A pid whose group is not its own must not take the group along: that would be the daemon's.
_SIGNAL = (
    START_OF
    + '[ "$(start_of "$1")" = "$2" ] || exit 3; '
    + 'if kill -0 "-$1" 2>/dev/null; then kill "-$3" "-$1"; else kill "-$3" "$1"; fi'
)


def spawn(device: Device, argv: Sequence[str], *, log: str, rc_file: str | None) -> ProcessHandle:
    """Start ``argv`` in a session of its own; see ``Device.spawn_detached``."""
    from runtimes.devices.device import ProcessHandle

    result = device.script(_SPAWN, log, rc_file or "", device.process_log or "", *argv)
    words = result.out.split()
    if not result.ok or len(words) != 3 or words[0] != "spawned":
        raise DeviceError(f"'{argv[0]}' could not be started in the background on {device.serial}: {result.complaint}")
    return ProcessHandle(pid=int(words[1]), start=words[2])


def is_alive(device: Device, handle: ProcessHandle) -> bool:
    """Whether the process of ``handle`` runs; a reused pid and a zombie do not count."""
    return "alive" in device.script(_ALIVE, str(handle.pid), handle.start).out


def kill(device: Device, handle: ProcessHandle, *, timeout_s: float) -> bool:
    """TERM, then KILL after ``timeout_s``; see ``Device.kill``.

    Raises:
        DeviceError: The process is still there after KILL, or may not be ended.
    """
    first = device.script(_SIGNAL, str(handle.pid), handle.start, "TERM")
    if first.rc == 3:
        return False
    deadline = time.monotonic() + timeout_s
    while is_alive(device, handle):
        if time.monotonic() > deadline:
            device.script(_SIGNAL, str(handle.pid), handle.start, "KILL")
            time.sleep(0.2)
            if is_alive(device, handle):
                raise DeviceError(f"process {handle.pid} on {device.serial} cannot be ended: {first.complaint}")
            break
        time.sleep(0.05)
    return True
