"""A change that any device can take, and another process of this program in the middle of a session.

Run as ``python session_child.py SCRATCH KNOB``: changes the file KNOB on this host, starts something detached, prints
"ready" and waits to be ended.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from runtimes.conditions.journal import Change, as_change
from runtimes.conditions.lease import DeviceSession, ending_sessions_on_signals
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice

WRITE = 'printf %s "$2" >"$1"'


def turn(device: Device, knob: Path, value: str = "new") -> Change:
    """The change of a file's content."""
    return as_change(
        device,
        knob.name,
        apply=("sh", "-c", WRITE, "sh", str(knob), value),
        undo=lambda old: ("sh", "-c", WRITE, "sh", str(knob), old),
        check=("cat", str(knob)),
        new=value,
    )


def main(scratch: Path, knob: Path) -> None:
    """Open a session, change the knob, and wait."""
    device = HostDevice(scratch)
    with ending_sessions_on_signals(), DeviceSession(device) as session:
        session.make(turn(device, knob))
        device.spawn_detached(["sleep", "600"], log=str(scratch / "log"))
        print("ready", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
