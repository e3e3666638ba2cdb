"""A change that any device can take, and another process of this program in the middle of a session.

Run as ``python session_child.py SCRATCH KNOB``: changes the file KNOB on this host, starts something detached, prints
"ready" and waits to be ended.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from runtimes.conditions.journal import Change
from runtimes.conditions.lease import DeviceSession, ending_sessions_on_signals
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice

WRITE = 'printf %s "$2" >"$1"'


def turn(device: Device, knob: Path, value: str = "new") -> Change:
    """The change of a file's content."""
    write, check = ("sh", "-c", WRITE, "sh", str(knob)), ("cat", str(knob))
    old = device.run(check).out.strip()
    return Change(key=knob.name, apply=(*write, value), undo=(*write, old), check=check, old=old, new=value)


def main(scratch: Path, knob: Path) -> None:
    """Open a session, change the knob, and wait."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
    device = HostDevice(scratch)
    with ending_sessions_on_signals(), DeviceSession(device) as session:
        session.make(turn(device, knob))
        device.spawn_detached(["sleep", "600"], log=str(scratch / "log"))
        print("ready", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
