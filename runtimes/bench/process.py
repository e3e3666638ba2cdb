"""One planned process on a device: started, awaited, and the files that it left brought here."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError
from runtimes.devices.device import Device, Progress, in_context
from runtimes.runners.process import PID_FILE, Finished, PlannedPush, PlannedRun

MAX_LINES = 20000  # chosen: no tool prints so much, and one that prints for ever must not fill the memory


def run_process(device: Device, planned: PlannedRun) -> Finished:
    """Run it to its end or its deadline, with what it printed and the files that it left."""
    command = in_context(clearing(planned), cwd=planned.cwd, env=planned.environment)
    limit_s = planned.workload.timeout_s
    with device.stream(command, heartbeat_s=limit_s, timeout_s=limit_s) as running:
        printed = "\n".join(deque(running, MAX_LINES))
    log = ""
    if planned.log_tag:
        script = 'logcat -d --pid="$(cat "$1")" -s "$2:*"'
        log = device.script(script, f"{planned.cwd}/{PID_FILE}", planned.log_tag).out
    files = fetch(device, planned, planned.fetch)
    assert running.rc is not None, "its lines have ended"
    return Finished(rc=running.rc, stdout=printed, stderr=running.err, log=log, files=files)


def clearing(planned: PlannedRun) -> list[str]:
    """The planned command in a shell that first removes what an earlier run left, and notes its pid where asked."""
    names = " ".join(f'"${{{place}}}"' for place in range(1, len(planned.clear) + 1))
    steps = [f"rm -f {names}; shift {len(planned.clear)}"] if planned.clear else []
    if planned.log_tag:
        steps.append(f"echo $$ >{PID_FILE}")
    script = "; ".join([*steps, 'exec "$@"'])
    return ["sh", "-c", script, planned.program, *planned.clear, *planned.argv]


def push_file(device: Device, item: PlannedPush, progress: Progress | None = None) -> None:
    """Bring one planned file to the device."""
    mode = 0o755 if item.program else 0o644
    device.push(Path(item.local), item.remote, progress=progress, mode=mode)


def fetch(device: Device, planned: PlannedRun, names: Sequence[str]) -> dict[str, bytes]:
    """The files of ``names`` that exist."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="edgevit-bench-") as directory:
        local = Path(directory) / "fetched"
        for name in names:
            remote = f"{planned.cwd}/{name}"
            try:
                device.pull(remote, local)
                files[name] = local.read_bytes()
            except (DeviceLostError, DeviceTimeoutError):
                raise
            except DeviceError:
                if device.run(["test", "-e", remote]).ok:
                    raise
    return files
