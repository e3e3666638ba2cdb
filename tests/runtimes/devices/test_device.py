"""What every device must do alike: this host, and the real adbd behind the real adb server."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from adbd_rig import names

from edgevit.errors import DeviceError, DeviceTimeoutError
from edgevit.records import sha256_file
from runtimes.devices.device import Device, ProcessHandle, in_context, quote
from runtimes.devices.host import HostDevice

PID = os.getpid()  # in every sleep's duration, so that test runs side by side do not see each other's
AWKWARD = ["a b", "$HOME", "'single'", '"double"', "`id`", "*", "back\\slash", "é→", "-n", "", "tab\there", "a;b&c|d>e"]


@pytest.fixture(params=["host", "adb"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Device:
    if request.param == "host":
        return HostDevice(tmp_path / "host scratch")
    found = request.getfixturevalue("adb_device")
    assert isinstance(found, Device)
    return found


@pytest.fixture
def remote(device: Device, tmp_path: Path) -> Path:
    """A directory on the device (which here is this machine) with a name that needs quoting."""
    path = tmp_path / "remote $dir's"
    path.mkdir()
    return path


def running(mark: str) -> list[str]:
    """The processes of this machine whose command line holds ``mark``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in line and str(os.getpid()) != path.parent.name:
            found.append(line)
    return found


def wait_gone(mark: str) -> None:
    deadline = time.monotonic() + 5
    while running(mark):
        assert time.monotonic() < deadline, running(mark)
        time.sleep(0.02)


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 5
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)
    return path.read_text()


def test_arguments_arrive_as_they_are(device: Device) -> None:
    result = device.run(["printf", "<%s>\\n", *AWKWARD])
    assert result.out.splitlines() == [f"<{word}>" for word in AWKWARD]


@pytest.mark.parametrize(
    ("argv", "rc"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["no-such-program"], 127),
        (["sh", "-c", "kill -9 $$"], 137),
        (["/etc/passwd"], 126),
    ],
)
def test_exit_codes_are_a_shells(device: Device, argv: list[str], rc: int) -> None:
    assert device.run(argv).rc == rc


def test_output_and_errors_are_apart(device: Device) -> None:
    result = device.run(["sh", "-c", "echo out; echo err >&2"])
    assert (result.out, result.err, result.merged) == ("out\n", "err\n", False)


def test_large_output_is_whole(device: Device) -> None:
    result = device.run(["sh", "-c", "seq 1 200000"])
    assert result.out.splitlines()[-1] == "200000"
    assert len(result.out.splitlines()) == 200000


def test_check_tells_what_the_command_said(device: Device) -> None:
    with pytest.raises(DeviceError, match=r"exit code 3.*went wrong"):
        device.check(["sh", "-c", "echo went wrong >&2; exit 3"])


def test_directory_and_environment(device: Device, remote: Path) -> None:
    argv = in_context(["sh", "-c", 'pwd; echo "$WORD"'], cwd=str(remote), env={"WORD": "a $b 'c'"})
    assert device.run(argv).out.splitlines() == [str(remote), "a $b 'c'"]


def test_quote_refuses_nothing_to_run() -> None:
    with pytest.raises(ValueError, match="at least one word"):
        quote([])


def test_a_deadline_ends_the_whole_family(device: Device) -> None:
    with pytest.raises(DeviceTimeoutError, match=r"did not end within 0.4 s and was killed; its last words: working"):
        device.run(["sh", "-c", f"echo working; sleep 753{PID}1 & sleep 753{PID}2; echo never"], timeout_s=0.4)
    wait_gone(f"sleep 753{PID}")


def test_lines_come_while_the_command_runs(device: Device, remote: Path) -> None:
    go = remote / "go"
    script = f'echo first; while [ ! -e "{go}" ]; do sleep 0.02; done; echo second; echo bad >&2; exit 4'
    script = script.replace("$", "\\$")
    with device.stream(["sh", "-c", script], heartbeat_s=5, timeout_s=10) as stream:
        lines = iter(stream)
        assert next(lines) == "first"
        assert stream.rc is None
        go.touch()
        assert list(lines) == ["second"]
    assert (stream.rc, stream.err) == (4, "bad\n")


def test_a_last_line_without_an_end_counts(device: Device) -> None:
    assert list(device.stream(["printf", "a\nb"], heartbeat_s=5, timeout_s=5)) == ["a", "b"]


def test_silence_is_not_life(device: Device) -> None:
    stream = device.stream(["sh", "-c", f"echo one; sleep 754{PID}"], heartbeat_s=0.4, timeout_s=30)
    seen = []
    with pytest.raises(DeviceTimeoutError, match=r"was silent for 0.4 s"):
        for line in stream:
            seen.append(line)
    assert seen == ["one"]
    wait_gone(f"sleep 754{PID}")


def test_chatter_does_not_prolong_the_deadline(device: Device) -> None:
    stream = device.stream(["sh", "-c", f"while :; do echo 755{PID}; sleep 0.05; done"], heartbeat_s=5, timeout_s=0.5)
    with pytest.raises(DeviceTimeoutError, match=r"did not end within 0.5 s"):
        list(stream)
    wait_gone(f"echo 755{PID}")


def test_leaving_a_stream_ends_the_command(device: Device) -> None:
    with device.stream(
        ["sh", "-c", f"echo on; sleep 756{PID}1 & sleep 756{PID}2"], heartbeat_s=5, timeout_s=30
    ) as stream:
        assert next(iter(stream)) == "on"
    wait_gone(f"sleep 756{PID}")


def test_a_file_goes_there_and_back(device: Device, remote: Path, tmp_path: Path) -> None:
    local = tmp_path / "mödel $x's.bin"
    local.write_bytes(os.urandom(300_001))
    target = str(remote / "new dir" / "ü, 'n$e\" w.bin")
    seen: list[tuple[int, int]] = []
    sent = device.push(local, target, progress=lambda _, done, total: seen.append((done, total)))
    assert (sent.sha256, sent.size_bytes, sent.skipped) == (sha256_file(local), 300_001, False)
    assert seen == sorted(seen)
    assert seen[-1] == (300_001, 300_001)
    assert names(remote / "new dir") == [Path(target).name]
    back = device.pull(target, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()
    assert back.sha256 == sent.sha256


def test_an_empty_file_too(device: Device, remote: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    device.push(tmp_path / "empty", str(remote / "empty"))
    assert (remote / "empty").read_bytes() == b""
    device.pull(str(remote / "empty"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


def test_the_same_bytes_are_not_sent_twice(device: Device, remote: Path, tmp_path: Path) -> None:
    local, target = tmp_path / "a", remote / "a"
    local.write_bytes(b"x" * 1000)
    assert not device.push(local, str(target)).skipped
    before = target.stat().st_mtime_ns, target.stat().st_ino
    assert device.push(local, str(target), mode=0o755).skipped
    assert (target.stat().st_mtime_ns, target.stat().st_ino) == before
    assert target.stat().st_mode & 0o777 == 0o755


def test_other_bytes_of_the_same_size_are_sent(device: Device, remote: Path, tmp_path: Path) -> None:
    (remote / "a").write_bytes(b"y" * 1000)
    (tmp_path / "a").write_bytes(b"x" * 1000)
    assert not device.push(tmp_path / "a", str(remote / "a")).skipped
    assert (remote / "a").read_bytes() == b"x" * 1000


def test_a_leftover_part_is_never_trusted(device: Device, remote: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    (remote / "a.part").write_bytes(b"z" * 2000)
    device.push(tmp_path / "a", str(remote / "a"))
    assert (remote / "a").read_bytes() == b"x" * 1000


def test_a_program_can_be_pushed_and_run(device: Device, tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text('#!/bin/sh\necho "ran with $1"\n')
    target = f"{device.scratch_dir()}/tool"
    device.push(program, target, mode=0o755)
    assert device.run([target, "a b"]).out == "ran with a b\n"


def test_a_directory_is_not_overwritten(device: Device, remote: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (remote / "dir").mkdir()
    with pytest.raises(DeviceError):
        device.push(tmp_path / "a", str(remote / "dir"))
    assert names(remote) == ["dir"]


def test_a_path_that_cannot_be_written(device: Device, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(DeviceError, match="/proc/no/such"):
        device.push(tmp_path / "a", "/proc/no/such/file")


@pytest.mark.parametrize(("name", "reason"), [("missing", "not|exist"), ("dir", "is a directory")])
def test_a_failed_pull_keeps_the_good_file(
    device: Device, remote: Path, tmp_path: Path, name: str, reason: str
) -> None:
    (remote / "dir").mkdir()
    (tmp_path / "good").write_text("good")
    with pytest.raises(DeviceError, match=reason):
        device.pull(str(remote / name), tmp_path / "good")
    assert (tmp_path / "good").read_text() == "good"
    assert not list(tmp_path.glob(".good*"))


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
