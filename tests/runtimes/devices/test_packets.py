"""A command's output while it runs, and its deadlines, on every device."""

from __future__ import annotations

import os
import time
import tracemalloc
from itertools import islice, repeat
from pathlib import Path

import pytest
from running import wait_gone

from edgevit.errors import DeviceError, DeviceTimeoutError
from runtimes.devices.device import Device
from runtimes.devices.packets import LONGEST_LINE_BYTES, Channel, CommandStream, KnownPackets, Packet, last_lines

PID = os.getpid()  # in every sleep's duration, so that test runs side by side do not see each other's


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


def endless(channel: Channel, data: bytes) -> CommandStream:
    return CommandStream(KnownPackets(repeat(Packet(channel, data))), "'yes' on 8BC1", heartbeat_s=60, timeout_s=60)


@pytest.mark.parametrize("channel", [Channel.OUT, Channel.ERR])
def test_output_without_an_end_is_cut_off(channel: Channel) -> None:
    with pytest.raises(DeviceError, match="'yes' on 8BC1 printed more than 64 MiB and was killed"):
        endless(channel, bytes(1 << 20)).read_all()


def test_a_line_without_an_end_comes_in_pieces_and_takes_no_memory() -> None:
    tracemalloc.start()
    began_s = time.perf_counter()
    pieces = list(islice(endless(Channel.OUT, b"x" * 65536), 20_000))
    whole = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert {len(piece) for piece in pieces} == {LONGEST_LINE_BYTES} and whole < 400 << 20
    assert time.perf_counter() - began_s < 5


def test_words_of_a_device_are_escaped_and_of_a_length() -> None:
    assert last_lines("a\n\x1b[2Jb\r\n\n" + "c" * 5000) == r"a | \x1b[2Jb | " + "c" * 1000
