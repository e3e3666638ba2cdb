"""Readers of power: traces as files, packets of a Monsoon, meters behind a device's files and commands."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from fuzz_mutation import Kind
from fuzz_reader import SEEDS, Reader, at, files, of_text
from told_device import GaugeDevice, ToldDevice

from edgevit.errors import DeviceError, MeterError, UsageError
from runtimes.power.battery import BatteryMeter
from runtimes.power.hwmon import HwmonMeter
from runtimes.power.monsoon_packets import PACKET_BYTES, Scales, decode
from runtimes.power.rails import RailsMeter
from runtimes.power.rapl import RaplMeter
from runtimes.power.sysfs import LocalSysfs
from runtimes.power.trace import PowerTrace
from runtimes.power.trace_csv import read_trace, write_csv
from validation.energy.analysis import analyze_energy
from validation.energy.report import EnergyReport

SCALES = Scales(fine=21.5, coarse=81.2, fine_zero=-120.0, coarse_zero=3.0)


def trace(data: bytes, room: Path, name: str) -> object:
    """A power trace, and whether what was accepted holds together; a long one is analysed too."""
    read = read_trace(at(name)(data, room))
    assert np.isfinite(read.rate_hz) and read.rate_hz > 0
    assert read.power_mw.shape == read.flags.shape
    assert not np.isinf(read.power_mw).any(), "infinite power was accepted"
    if len(read.power_mw) > 100:
        try:
            report = analyze_energy(read, runs=3)
        except (MeterError, UsageError):
            return read
        EnergyReport.from_json(report.to_json())
    return read


@cache
def _csv_seeds() -> list[bytes]:
    short = PowerTrace.load(SEEDS / "trace.npz")
    path = SEEDS / "trace.csv"
    ours = path.read_bytes() if path.exists() else _ours(short)
    rows = [(n / 5000, 200 + n % 7, 3.8) for n in range(150)]
    power_tool = "".join(f"{t:.4f},{ma:.3f},{ma * v:.2f},{v:.2f}\n" for t, ma, v in rows)
    monsoon = "".join(f"{t:.4f},{ma:.3f},0,0,{v:.2f},0\n" for t, ma, v in rows)
    pep = "".join(f"{t:.4f},{ma * v:.3f}\n" for t, ma, v in rows)
    comma = "".join(f"{t:.4f};{ma:.3f};{v:.2f}\n".replace(".", ",") for t, ma, v in rows)
    return [
        ours,
        ("Time (s),Main Avg Current (mA),Main Avg Power (mW),Main Avg Voltage (V)\n" + power_tool).encode(),
        ("Time(ms),Main(mA),USB(mA),Aux(mA),Main Voltage(V),USB Voltage(V)\n" + monsoon).encode(),
        ("time_s,power_mw\n" + pep).encode(),
        b"a,b,c\n1,2,3\n",
        ("sep=;\ntime_s;current_ma;voltage_v\n" + comma).encode("utf-16"),
    ]


def _ours(short: PowerTrace) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        write_csv(short, Path(directory) / "trace.csv")
        return (Path(directory) / "trace.csv").read_bytes()


def monsoon(data: bytes, _: Path) -> object:
    """Packets as the USB reader hands them over: whole ones."""
    count = len(data) // PACKET_BYTES
    packets = np.frombuffer(data[: count * PACKET_BYTES], np.uint8).reshape(-1, PACKET_BYTES)
    stamps = np.array([[0.0, 10.0], [max(0, count - 1), 10.5]])
    made, losses = decode(packets, SCALES, stamps, {})
    assert not np.isinf(made.power_mw).any(), "infinite power was decoded"
    return losses


def rails(text: str) -> object:
    """A dump of power rails, by the meter that reads it."""
    meter = RailsMeter(ToldDevice(text))
    meter.prepare()
    return meter.read_once()


def battery(text: str) -> object:
    """A phone's gauge: every command is answered by the same text."""
    meter = BatteryMeter(GaugeDevice(text))
    meter.prepare()
    return meter.read_once()


def _finite(values: tuple[float, ...]) -> tuple[float, ...]:
    assert np.isfinite(values).all(), f"a reading of {values} was accepted"
    return values


HWMON = ("name", "in1_label", "in1_input", "curr1_input", "update_interval")
RAPL = ("name", "max_energy_range_uj", "energy_uj")


def hwmon(data: bytes, room: Path) -> object:
    """Sensors below /sys: one file a line."""
    _lay(data, room / "sys/class/hwmon/hwmon0", HWMON)
    meter = HwmonMeter(LocalSysfs(room))
    meter.prepare()
    return _finite(meter.read_once())


def rapl(data: bytes, room: Path) -> object:
    """Counters below /sys: one file a line."""
    _lay(data, room / "sys/class/powercap/intel-rapl:0", RAPL)
    meter = RaplMeter(LocalSysfs(room))
    meter.prepare()
    return _finite(meter.read_once())


def _lay(data: bytes, directory: Path, names: tuple[str, ...]) -> None:
    directory.mkdir(parents=True)
    lines = data.split(b"\n")
    for place, name in enumerate(names):
        if place < len(lines) and lines[place] != b"-":
            (directory / name).write_bytes(lines[place] + b"\n")


READERS = (
    Reader(
        "trace-csv", "power traces (.csv: ours, PyMonsoon, PowerTool, FAI-PEP)", lambda data, room: trace(data, room,
        "t.csv"),
        (MeterError,), _csv_seeds, Kind.TEXT, tokens=(b'"1,200.5"', b"time_s", b"sep=|", b"np.float64(1.5)", b"#"),
        corpora=("traces", "csv"),
    ),
    Reader(
        "trace-npz", "power traces (.npz)", lambda data, room: trace(data, room, "t.npz"), (MeterError,),
        files("seeds/trace.npz"), Kind.ZIP,
    ),
    Reader(
        "monsoon-packets", "bulk packets of a Monsoon HVPM", monsoon, (MeterError,), files("seeds/monsoon.bin"),
        Kind.BINARY,
        tokens=(b"\xff\xff\x2f\x03", b"\x00\x00\x20\x00", b"\x00\x80"), corpora=("monsoon",),
    ),
    Reader(
        "rails", "dumps of power rails", of_text(rails), (DeviceError,), files("power/ipowerstats_oriole.txt"),
        Kind.TEXT,
    ),
    Reader(
        "battery-gauge", "a phone's battery gauge", of_text(battery), (DeviceError,),
        lambda: [b"-312000\n4012000\n", b"250\n3800\n", b"-\n-250000\n  level: 80\n  voltage: 4012\n"], Kind.TEXT,
    ),
    Reader(
        "hwmon", "INA sensors below /sys", hwmon, (DeviceError,), lambda: [b"ina3221\nVDD_IN\n5000\n800\n2\n"],
        Kind.TEXT,
    ),
    Reader(
        "rapl", "energy counters below /sys", rapl, (DeviceError,), lambda: [b"package-0\n262143328850\n123456789\n"],
        Kind.TEXT,
    ),
)  # fmt: skip
