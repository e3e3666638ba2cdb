"""The real adb client and server against a daemon that goes wrong on purpose."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from adbd_rig import AdbRig, names
from fault_daemon import FaultDaemon, Faults

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.select import list_devices, select_device

Make = Callable[[Faults], tuple[FaultDaemon, AdbDevice]]


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(os.urandom(1_500_000))
    return path


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    path = tmp_path / "on device"
    path.mkdir()
    return path


def test_without_faults_it_is_a_device(faulty: Make, local: Path, remote: Path, tmp_path: Path) -> None:
    _, device = faulty(Faults())
    assert device.run(["sh", "-c", "echo out; echo err >&2; exit 7"]).rc == 7
    device.push(local, str(remote / "m"))
    device.pull(str(remote / "m"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == local.read_bytes()


def test_a_push_that_was_cut_is_done_again_in_full(faulty: Make, local: Path, remote: Path) -> None:
    daemon, device = faulty(Faults(drop_after_push_bytes=500_000))
    with pytest.raises(DeviceLostError):
        device.push(local, str(remote / "m"))
    assert names(remote) == ["m.part"]
    daemon.faults.drop_after_push_bytes = None
    device.reconnect()
    assert not device.push(local, str(remote / "m")).skipped
    assert names(remote) == ["m"]
    assert (remote / "m").read_bytes() == local.read_bytes()


def test_a_pull_that_was_cut_leaves_nothing(faulty: Make, local: Path, tmp_path: Path) -> None:
    _, device = faulty(Faults(drop_after_pull_bytes=500_000))
    with pytest.raises(DeviceLostError):
        device.pull(str(local), tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert not list(tmp_path.glob(".back*"))


def test_a_run_that_was_cut(faulty: Make) -> None:
    _, device = faulty(Faults(drop_after_shell_bytes=400, only_commands_with="tick"))
    lines = []
    with pytest.raises(DeviceLostError):
        for line in device.stream(
            ["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do echo tick; sleep 0.02; seq -w 1000 1050; done"],
            heartbeat_s=5,
            timeout_s=20,
        ):
            lines.append(line)
    assert "tick" in lines
    assert lines.count("tick") < 8


@pytest.mark.parametrize("fault", ["hang_after_push_bytes", "hang_after_pull_bytes"])
def test_a_hung_transfer(faulty: Make, local: Path, remote: Path, tmp_path: Path, fault: str) -> None:
    daemon, device = faulty(Faults())
    setattr(daemon.faults, fault, 100_000)
    with pytest.raises(DeviceTimeoutError, match="did not answer in time"):
        if "push" in fault:
            device.push(local, str(remote / "m"), timeout_s=0.5)
        else:
            device.pull(str(local), tmp_path / "back", timeout_s=0.5)
    assert not (remote / "m").exists()
    assert not (tmp_path / "back").exists()
    assert device.run(["true"]).ok


@pytest.mark.parametrize("refused_at", [0, 700_000])
def test_a_full_disk(faulty: Make, local: Path, remote: Path, refused_at: int) -> None:
    faults = Faults(refuse_push="write failed: No space left on device", refuse_push_after_bytes=refused_at)
    _, device = faulty(faults)
    with pytest.raises(DeviceError, match=r"the disk of .* is full: .*MiB are free") as caught:
        device.push(local, str(remote / "m"))
    assert "--remote-dir" in (caught.value.hint or "")
    assert names(remote) == []


@pytest.mark.parametrize(
    "reason", ["couldn't create file: Read-only file system", "secure_mkdirs failed: Permission denied"]
)
def test_a_path_that_is_not_writable(faulty: Make, local: Path, remote: Path, reason: str) -> None:
    _, device = faulty(Faults(refuse_push=reason))
    with pytest.raises(DeviceError, match=reason) as caught:
        device.push(local, str(remote / "m"))
    assert "--remote-dir" in (caught.value.hint or "")


def test_a_refusal_without_a_word(faulty: Make, local: Path, remote: Path) -> None:
    _, device = faulty(Faults(refuse_push=""))
    with pytest.raises(DeviceError, match="no reason given"):
        device.push(local, str(remote / "m"))


def test_bytes_that_change_on_the_way(faulty: Make, local: Path, remote: Path) -> None:
    _, device = faulty(Faults(corrupt_push=True))
    (remote / "m").write_text("the good one")
    with pytest.raises(DeviceError, match=r"arrived on .* with SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
        device.push(local, str(remote / "m"))
    assert names(remote) == ["m"]
    assert (remote / "m").read_text() == "the good one"


def test_garbage_from_the_file_service(faulty: Make, local: Path, remote: Path, tmp_path: Path) -> None:
    _, device = faulty(Faults(garbage_in_sync=True))
    with pytest.raises(DeviceError, match="answered nonsense"):
        device.push(local, str(remote / "m"))
    with pytest.raises(DeviceError, match="answered nonsense"):
        device.pull(str(local), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_garbage_from_the_shell(faulty: Make) -> None:
    _, device = faulty(Faults(garbage_in_shell=True))
    with pytest.raises(DeviceError, match="answered nonsense while a command ran: shell packet of kind 255"):
        device.run(["true"])


def test_an_end_without_an_exit_code_is_never_success(faulty: Make) -> None:
    _, device = faulty(Faults(end_without_exit=True, only_commands_with="tick"))
    with pytest.raises(DeviceLostError, match="ended without an exit code"):
        device.run(["echo", "tick"])


@pytest.mark.parametrize("line_ends", [False, True])
def test_daemons_without_shell_v2(faulty: Make, local: Path, remote: Path, line_ends: bool) -> None:
    _, device = faulty(Faults(shell_v2=False, merge_with_pty_line_ends=line_ends))
    assert device.features() == frozenset()
    result = device.run(["sh", "-c", "echo out; echo err >&2; printf '@@ no end'; exit 7"])
    assert (result.rc, result.out, result.err, result.merged) == (7, "out\nerr\n@@ no end", "", True)
    assert device.run(["sh", "-c", "kill -9 $$"]).rc == 137
    stream = device.stream(["sh", "-c", "echo one; echo two >&2; exit 4"], heartbeat_s=5, timeout_s=5)
    assert (list(stream), stream.rc) == (["one", "two"], 4)
    assert not device.push(local, str(remote / "m")).skipped
    assert (remote / "m").read_bytes() == local.read_bytes()


def test_lines_come_live_without_shell_v2(faulty: Make, tmp_path: Path) -> None:
    _, device = faulty(Faults(shell_v2=False))
    go = tmp_path / "go"
    script = 'echo @; while [ ! -e "$0" ]; do sleep 0.02; done; echo second'
    with device.stream(["sh", "-c", script, str(go)], heartbeat_s=5, timeout_s=10) as stream:
        lines = iter(stream)
        assert next(lines) == "@"
        go.touch()
        assert list(lines) == ["second"]


def test_a_cut_without_shell_v2_is_never_success(faulty: Make) -> None:
    _, device = faulty(Faults(shell_v2=False, drop_after_shell_bytes=400, only_commands_with="tick"))
    with pytest.raises(DeviceLostError):
        device.run(["sh", "-c", "echo tick; seq 1 500; exit 0"])


def test_a_deadline_without_shell_v2_ends_the_family(faulty: Make, tmp_path: Path) -> None:
    _, device = faulty(Faults(shell_v2=False))
    alive = tmp_path / "alive"
    script = '(while :; do date +%s%N >"$0"; sleep 0.02; done) & sleep 60'
    with pytest.raises(DeviceTimeoutError):
        device.run(["sh", "-c", script, str(alive)], timeout_s=0.5)
    device.run(["sleep", "0.2"])
    last = alive.read_text()
    device.run(["sleep", "0.2"])
    assert alive.read_text() == last


def test_an_unauthorised_daemon(faulty: Make, adb_rig: AdbRig) -> None:
    with FaultDaemon(Faults(authorised=False)) as daemon:
        adb_rig.connect(daemon.serial, state="unauthorized")
        entry = next(each for each in list_devices(str(adb_rig.server)).devices if each.serial == daemon.serial)
        assert (entry.state, entry.is_usable) == ("unauthorized", False)
        with pytest.raises(DeviceError, match="it is unauthorized") as caught:
            select_device(daemon.serial, adb_server=str(adb_rig.server))
        assert "Allow USB debugging" in (caught.value.hint or "")
        adb_rig.adb("disconnect", daemon.serial)
