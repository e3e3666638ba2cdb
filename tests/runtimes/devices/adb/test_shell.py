"""Commands over ADB when the other side goes away, hangs, or cannot tell exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from pathlib import Path

import pytest
from adbd_rig import Adbd
from fault_daemon import FaultDaemon, Faults
from running import wait_gone

from edgevit.errors import DeviceError, DeviceLostError, DeviceTimeoutError
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.adb.shell import AdbPackets
from runtimes.devices.packets import Channel, Packet

Make = Callable[[Faults], tuple[FaultDaemon, AdbDevice]]


def test_cable_pulled_in_the_middle_of_a_run(adb_device: AdbDevice, adbd: Adbd) -> None:
    seen = []
    with pytest.raises(DeviceLostError, match="ended without an exit code"):
        for line in adb_device.stream(
            ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo tick $i; sleep 0.1; done"], heartbeat_s=5, timeout_s=20
        ):
            seen.append(line)
            if line == "tick 3":
                adbd.pull_cable()
    assert seen[:3] == ["tick 1", "tick 2", "tick 3"]
    assert "tick 9" not in seen


def test_a_daemon_that_hangs_in_the_middle_of_a_run(adb_device: AdbDevice, adbd: Adbd) -> None:
    with pytest.raises(DeviceTimeoutError, match="was silent"):
        for _ in adb_device.stream(
            ["sh", "-c", "while :; do echo tick; sleep 0.05; done"], heartbeat_s=0.5, timeout_s=30
        ):
            adbd.hang()


@pytest.mark.parametrize("shell_v2", [True, False])
def test_a_command_that_never_told_its_number_is_ended_all_the_same(faulty: Make, shell_v2: bool) -> None:
    """Nothing of its output came within the deadline, and the daemon does not end what it started."""
    mark = f"7{int(shell_v2)}31.7531"
    daemon, device = faulty(Faults(swallow_shell=True, only_commands_with=mark, shell_v2=shell_v2))
    with pytest.raises(DeviceTimeoutError, match="did not end within 1 s"):
        device.run(["sleep", mark], timeout_s=1.0)
    assert len(daemon.swallowed) == 1, "it was started"
    wait_gone(mark)


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
    result = device.run(["sh", "-c", "echo out; echo err >&2; printf '@@ no end'; exit 7"])
    assert (result.rc, result.out, result.err) == (7, "out\nerr\n@@ no end", "")
    assert device.run(["sh", "-c", "kill -9 $$"]).rc == 137
    stream = device.stream(["sh", "-c", "echo one; echo two >&2; exit 4"], heartbeat_s=5, timeout_s=5)
    assert (list(stream), stream.rc) == (["one", "two"], 4)
    assert device.push(local, str(remote / "m"))
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


@pytest.mark.parametrize("shell_v2", [True, False])
@pytest.mark.parametrize("timeout_s", [0.004, 0.008, 0.012, 0.02, 0.5])
def test_a_deadline_ends_the_family(faulty: Make, tmp_path: Path, shell_v2: bool, timeout_s: float) -> None:
    _, device = faulty(Faults(shell_v2=shell_v2))
    alive = tmp_path / "alive"
    script = '(while :; do date +%s%N >"$0"; sleep 0.02; done) & sleep 60'
    with pytest.raises(DeviceTimeoutError):
        device.run(["sh", "-c", script, str(alive)], timeout_s=timeout_s)
    device.run(["sleep", "0.2"])
    last = alive.read_text() if alive.exists() else ""
    device.run(["sleep", "0.2"])
    assert (alive.read_text() if alive.exists() else "") == last


class Socket:
    """A connection on which ``pieces`` come, and nothing else."""

    closed = False

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.conn, self._pieces = self, iter(pieces)

    def settimeout(self, timeout_s: float) -> None:
        pass

    def recv(self, size: int) -> bytes:
        return next(self._pieces, b"")

    def close(self) -> None:
        self.closed = True


def packets_of(pieces: Iterable[bytes], *, merged: bool = False) -> AdbPackets:
    return AdbPackets(Socket(pieces), "@n", merged=merged, serial="8BC1", end=lambda process: None)  # type: ignore[arg-type]


def framed(kind: int, data: bytes, size: int | None = None) -> bytes:
    return bytes([kind]) + (len(data) if size is None else size).to_bytes(4, "little") + data


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([framed(1, b"", size=0xFFFFFFFF)], "shell packet of kind 1 with 4,294,967,295 bytes"),
        ([framed(2, b"x" * 100, size=(1 << 20) + 1)], "shell packet of kind 2 with 1,048,577 bytes"),
        (repeat(framed(1, b"x")), "bytes before the command began"),
        ([framed(1, b"@n " + b"9" * 20_000)], "bytes before the command began"),
    ],
)
def test_sizes_that_no_daemon_sends_are_refused(pieces: Iterable[bytes], words: str) -> None:
    with pytest.raises(DeviceError, match=f"8BC1 answered nonsense while a command ran: .*{words}"):
        packets_of(pieces).read(5.0)


def test_an_introduction_of_strange_bytes_is_none() -> None:
    stat = b"@n 12 5 (sh) S " + b"1 " * 18 + b"\xff\xfe\n"
    packets = packets_of([framed(1, stat), framed(1, b"out"), framed(3, b"\7")])
    assert packets.read(1.0) == Packet(Channel.OUT, b"out")
    assert packets.read(1.0).rc == 7
    plain = packets_of([b"@n 12 \nout\n@n:", b"9" * 5000 + b"\n", b"@n:3\n"], merged=True)
    seen = [plain.read(1.0)]
    while seen[-1].channel is not Channel.EXIT:
        seen.append(plain.read(1.0))
    assert seen[-1].rc == 3 and b"".join(each.data for each in seen) == b"out\n@n:" + b"9" * 5000 + b"\n"
