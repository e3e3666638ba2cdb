"""Processes that outlive the connection, on every device."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from running import wait_for, wait_gone

from runtimes.devices.device import Device, ProcessHandle

PID = os.getpid()  # in every sleep's duration, so that test runs side by side do not see each other's


def test_detached_processes_live_on_and_tell_their_end(device: Device, remote: Path) -> None:
    handle = device.spawn_detached(
        ["sh", "-c", 'echo "$1"; while [ ! -e "$2" ]; do sleep 0.02; done; exit 5', "sh", "a $b", str(remote / "go")],
        log=str(remote / "log"),
        rc_file=str(remote / "rc"),
    )
    assert device.is_alive(handle)
    assert wait_for(remote / "log") == "a $b\n"
    (remote / "go").touch()
    assert wait_for(remote / "rc") == "5\n"
    deadline_s = time.monotonic() + 10
    while device.is_alive(handle) and time.monotonic() < deadline_s:  # it ends right after it has told its code
        time.sleep(0.02)
    assert not device.is_alive(handle)
    assert device.kill(handle) is False


def test_killing_takes_the_family(device: Device, remote: Path) -> None:
    handle = device.spawn_detached(
        ["sh", "-c", f"trap '' TERM; sleep 758{PID}1 & sleep 758{PID}2"], log=str(remote / "log")
    )
    assert device.kill(handle, timeout_s=0.3) is True
    wait_gone(f"sleep 758{PID}")


def test_a_reused_pid_is_left_alone(device: Device, remote: Path) -> None:
    handle = device.spawn_detached(["sleep", "759"], log=str(remote / "log"))
    other = ProcessHandle(pid=handle.pid, start="1")
    assert not device.is_alive(other)
    assert device.kill(other) is False
    assert device.is_alive(handle)
    assert device.kill(handle) is True


def test_streamed_and_detached_processes_are_noted(device: Device, remote: Path) -> None:
    log = remote / "processes"
    log.touch()
    device.process_log = str(log)
    handle = device.spawn_detached(["sleep", "760"], log=str(remote / "log"))
    with device.stream(["sh", "-c", "echo $$; sleep 761"], heartbeat_s=5, timeout_s=5) as stream:
        next(iter(stream))
        lines = log.read_text().splitlines()
    device.run(["true"])
    device.kill(handle)
    assert lines[0] == f"{handle.pid} {handle.start}"
    assert re.fullmatch(r"\d+ \d+", lines[1])
    assert log.read_text().splitlines() == lines
