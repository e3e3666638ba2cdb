"""Readers of what devices say: states, tools, adb's packets and lists, answers to single commands."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from fuzz_mutation import Kind
from fuzz_reader import DATA, Reader, files, of_text
from told_device import ToldDevice

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.bench.metered import MeteredRunner
from runtimes.conditions.affinity import verify_pinning
from runtimes.conditions.device_state import DeviceState
from runtimes.conditions.journal import identity_of
from runtimes.conditions.owner import in_words, is_dead
from runtimes.conditions.state import read_state
from runtimes.devices.adb import attached as adb_attached
from runtimes.devices.adb import push as adb_push
from runtimes.devices.adb.server import translated
from runtimes.devices.adb.shell import AdbPackets
from runtimes.devices.adb.sync import SyncChannel, SyncRefusal
from runtimes.devices.packets import CommandStream
from runtimes.runners.choose import probe_python
from runtimes.runners.exits import NOT_EXECUTABLE, exit_error
from runtimes.runners.process import Finished
from runtimes.runners.tools import TOOLS
from runtimes.runners.tools.onnxruntime_perf_test import RESULT_FILE
from runtimes.runners.workload import Workload
from validation.latency.fitness import fitness

NONCE = "@0123456789abcdef"


def state(text: str) -> DeviceState:
    """Everything that a measurement depends on, from the script's answer, and whether the device is fit."""
    found = read_state(ToldDevice(text))
    fitness(found)
    return found


def tool(format: Format, text: str, results: bytes = b"") -> object:
    """What a runtime's own benchmark tool printed, and what it left in its file of results."""
    for rc in (134, NOT_EXECUTABLE):
        exit_error("m on d", TOOLS[format].name, rc, text, built_for="arm64-v8a")
    return TOOLS[format].parse(Finished(0, text, "", "", {RESULT_FILE: results}), WORK_OF_RECORDED[format])


def _recorded(name: str) -> bytes:
    return (DATA / "tools" / name).read_bytes()


class _Pipe:
    """A connection whose other side sends ``data`` in pieces and hangs up."""

    closed = False

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.conn = self

    def settimeout(self, _: float) -> None:
        """Nothing here waits."""

    def sendall(self, data: bytes) -> None:
        """Whatever is sent is taken."""

    def recv(self, count: int) -> bytes:
        """Up to 1,000 bytes, so that packets come in pieces."""
        piece, self._data = self._data[: min(count, 1000)], self._data[min(count, 1000) :]
        return piece

    def read_exact(self, count: int) -> bytes:
        """As adbutils does it."""
        from adbutils.errors import AdbError

        piece, self._data = self._data[:count], self._data[count:]
        if len(piece) < count:
            raise AdbError("connection closed")
        return piece

    def close(self) -> None:
        """Hung up."""
        self.closed = True


def shell(data: bytes, _: Path, *, merged: bool) -> object:
    """The output of a command over adb, in packets or plain."""
    packets = AdbPackets(_Pipe(data), NONCE, merged=merged, serial="8BC1", end=lambda *_: None)  # type: ignore[arg-type]
    return CommandStream(packets, "'x' on 8BC1", heartbeat_s=5, timeout_s=5).read_all()


def _packet(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + len(data).to_bytes(4, "little") + data


def _shells(*, merged: bool) -> list[bytes]:
    stat = " ".join(["1", "(sh)", "S", *map(str, range(4, 30))])
    said = f"{NONCE} 1234 {stat}\n".encode()
    if merged:
        return [said + b"hello\r\nworld\r\n" + f"{NONCE}:0\r\n".encode(), said + f"x{NONCE}:127\n".encode()]
    return [
        _packet(1, said)
        + _packet(1, b"hello\n")
        + _packet(2, b"warn\n")
        + _packet(1, b"x" * 3000)
        + _packet(3, b"\x00"),
        _packet(1, said + b"both\n") + _packet(3, b"\x7f"),
    ]


def sync(data: bytes, _: Path) -> object:
    """A file's size and bytes over adb's file service."""
    channel = SyncChannel(_Pipe(data), "8BC1")  # type: ignore[arg-type]  # a connection as far as is needed
    try:
        with translated("8BC1", "a file was pulled"):
            return channel.stat("/x"), sum(len(piece) for piece in channel.receive("/x", 1 << 20))
    except SyncRefusal as error:
        raise DeviceError(f"refused: {error}") from error


def _syncs() -> list[bytes]:
    word = lambda name, number: name + number.to_bytes(4, "little")  # noqa: E731
    stat = b"STAT" + b"".join(number.to_bytes(4, "little") for number in (0o100644, 70, 1_700_000_000))
    return [
        stat + word(b"DATA", 40) + b"a" * 40 + word(b"DATA", 30) + b"b" * 30 + word(b"DONE", 0),
        stat + word(b"FAIL", 9) + b"no access",
    ]


class _Server:
    """An adb server in a thread: every connection gets one answer."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._socket.getsockname()[1]  # noqa: UP031
        self.answer = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(1.0)
                try:
                    if connection.recv(200):  # who only asks whether someone listens sends nothing
                        connection.sendall(self.answer)
                except OSError:
                    continue


@cache
def _server() -> _Server:
    return _Server()


def device_list(data: bytes, _: Path) -> object:
    """``host:devices-l`` of an adb server, through adbutils; once as it is, once behind a length that is right."""
    server = _server()
    found = []
    for answer in (data, b"OKAY%04x" % min(len(data), 0xFFFF) + data[:0xFFFF]):
        server.answer = answer
        try:
            found += adb_attached.attached(server.address)
        except DeviceError as error:
            found += [error]
    return found


def answers(text: str) -> object:
    """Answers to single commands: hashes, free space, process ids, pinning, identity, clocks."""
    device = ToldDevice(text)
    asked: tuple[Callable[[], object], ...] = (
        lambda: adb_push.prepare(device, "/data/x", 3, 0o644, 5.0),
        lambda: adb_push.settle(device, "/data/x", "a" * 64, 0o644, 5.0),
        lambda: adb_push.refusal(device, "/data/x", text[:100]),
        lambda: verify_pinning(device, 3),
        lambda: probe_python(device, "python3"),
        lambda: device.spawn_detached(["x"], log="/x"),
        lambda: identity_of(device),
        lambda: (in_words(text), is_dead(text, ())),
        lambda: MeteredRunner(device, None)._host_ahead_s(),  # type: ignore[arg-type]  # no meter is read
    )
    refused: DeviceError | None = None
    found = []
    for ask in asked:
        try:
            found.append(ask())
        except DeviceError as error:
            refused = error
    if not found and refused is not None:
        raise refused
    return found


def _states() -> list[bytes]:
    phone = (DATA / "device" / "state_phone.txt").read_text(encoding="utf-8")
    thermal = (DATA / "device" / "thermalservice_phone.txt").read_text(encoding="utf-8")
    linux = (
        "@@ uname\nLinux 6.1.0 aarch64\n@@ root\n1000\n@@ loadavg\n0.5 0.4 0.3 1/100 7\n@@ uptime\n1234.5 77.0\n"
        "@@ meminfo\nMemTotal: 3900000 kB\nMemAvailable: 2000000 kB\n@@ quota\n150000 100000\n@@ allowed\n"
        "Cpus_allowed_list:\t0-3,6\n@@ cpus\n0 - performance 1800000 600000 1800000 1800000 446\n"
        "1 1 schedutil 2400000 600000 2400000 2400000 1024\n@@ zones\n45000 cpu-thermal\n38 battery\n"
        "@@ supply\nBAT0|Battery|-|Discharging|87|251|12100000\nAC|Mains|1|-|-|-|-\n@@ end\n"
    )
    return [phone.encode(), linux.encode(), f"{phone}\n@@ thermalservice\n{thermal}\n@@ end\n".encode()]


_TOOL_SEEDS = {
    Format.TFLITE: (
        "litert_2.1.txt",
        "tflite_2.17.txt",
        "tflite_all_same.txt",
        "tflite_old_exponent.txt",
        "tflite_failed.txt",
    ),
    Format.PTL: ("speed_benchmark_torch.txt", "speed_benchmark_torch_no_runs.txt"),
    Format.PTE: ("executor_runner_1.5.txt", "executor_runner_logcat.txt", "executor_runner_0.4.txt"),
    Format.ONNX: ("onnxruntime_perf_test_1.23.txt", "onnxruntime_perf_test_1.10.txt"),
}
CSV = "onnxruntime_perf_test.csv"
WORK_OF_RECORDED = {
    Format.TFLITE: Workload(warmup=1, runs=50), Format.PTL: Workload(warmup=1, runs=3, affinity="1"),
    Format.PTE: Workload(warmup=1, runs=2), Format.ONNX: Workload(warmup=1, runs=5),
}  # fmt: skip

READERS = (
    Reader(
        "device-state", "/proc, /sys, getprop, dumpsys: the state of a device", of_text(state), (DeviceError,), _states,
        Kind.TEXT, tokens=(b"@@ allowed\nCpus_allowed_list: 0-4294967295\n", b"@@ battery\n", b"@@ cpus\n",
        b"@@ zones\n", b"Thermal Status: "),
        corpora=("state",),
    ),
    *(
        Reader(
            f"tool-{TOOLS[format].name}", f"what {TOOLS[format].name} printed",
            partial(lambda format, data, _: tool(format, data.decode("utf-8", "replace"), _recorded(CSV)), format),
            (DeviceError,),
            files(*(f"tools/{name}" for name in names)), Kind.TEXT, corpora=("tools",),
        )
        for format, names in _TOOL_SEEDS.items()
    ),
    Reader(
        "tool-results-csv", "the result file of onnxruntime_perf_test",
        lambda data, _: tool(Format.ONNX, _recorded("onnxruntime_perf_test_1.23.txt").decode(), data), (DeviceError,),
        files(f"tools/{CSV}"), Kind.TEXT,
    ),
    Reader(
        "adb-shell-v2", "adb shell packets", partial(shell, merged=False), (DeviceError,), partial(_shells,
        merged=False),
        Kind.BINARY, tokens=(b"\x03\x01\x00\x00\x00\x00", b"\x01\xff\xff\xff\xff", NONCE.encode()),
    ),
    Reader(
        "adb-shell", "adb shell output of old daemons", partial(shell, merged=True), (DeviceError,), partial(_shells,
        merged=True),
        Kind.TEXT, tokens=(f"{NONCE}:".encode(), f"{NONCE} ".encode()),
    ),
    Reader("adb-sync", "adb file packets", sync, (DeviceError,), _syncs, Kind.BINARY, tokens=(b"DATA\xff\xff\xff\xff",
    b"FAIL\xff\xff\xff\x7f")),
    Reader(
        "adb-devices", "the list of an adb server", device_list, (DeviceError,),
        lambda: [
            b"8BC1                   device product:x model:Pixel_6 device:oriole transport_id:1\n",
            b"emulator-5554 offline transport_id:2\n0123 unauthorized usb:1-1\n????????????\tno permissions; see [http://x]\n",
        ], Kind.TEXT, connects=True, tokens=(b"OKAY", b"FAIL", b"\xff"),
    ),
    Reader(
        "device-answers", "answers to single commands on a device", of_text(answers), (DeviceError,),
        lambda: [
            b"hash " + b"a" * 64 + b"  -\n", b"hash none\n", b"/dev/block 100 50 50 50% /data\n", b"Cpus_allowed:\t3\n",
            b"spawned 123 456\n", b'{"version": [3, 11, 4], "modules": ["numpy"]}\n', b"12345.67 98765.43\n",
            b"user@host pid 1 01234567-1234-0123456789ab",
        ], Kind.TEXT, corpora=("answers",),
    ),
)  # fmt: skip
