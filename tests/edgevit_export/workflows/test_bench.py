"""One bench over several devices: which are opened, and what one that fails does to the others."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Lock

import pytest
from adbd_rig import AdbRig, why_not
from bench_rig import Events, judge, onnx_subject

import runtimes.bench.patience as patience_module
from edgevit.errors import DeviceError, EdgevitExportError, UsageError
from edgevit_export.workflows.bench import Bench, open_devices
from edgevit_export.workflows.subjects import Subjects
from runtimes.bench import measure as measure_module
from runtimes.bench.measure import DeviceOutcome, Measurement
from runtimes.bench.record import Verification
from runtimes.bench.request import BenchRequest
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Device
from runtimes.devices.host import HostDevice
from runtimes.devices.recording import RecordingDevice, ReplayDevice
from runtimes.runners.runner import Feed, Subject
from runtimes.runners.workload import Workload

WORKLOAD = Workload(runs=4, rounds=2, warmup=1, timeout_s=60.0)
REQUEST = BenchRequest(workload=WORKLOAD, python=sys.executable)


class Judged(Subjects):
    """Subjects whose answers the rig judges."""

    def judge(self, subject: Subject, answers: list[Feed], runtime: str) -> Verification:
        return judge(subject, answers, runtime)


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's own environment."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def subjects(tmp_path: Path) -> Subjects:
    return Judged((onnx_subject(tmp_path / "tiny.onnx"),), {})


def bench(subjects: Subjects, tmp_path: Path, *, events: dict[str, Events] | None = None, **given: object) -> Bench:
    """``events`` keeps the watcher of each device."""
    kept = {} if events is None else events

    def watcher_of(serial: str) -> Events:
        return kept.setdefault(serial, Events())

    return Bench(subjects, REQUEST, tmp_path / "out", watcher_of, **given)  # type: ignore[arg-type]


def never() -> None:
    pytest.fail("nobody interrupted")


def test_a_dry_run_only_plans(subjects: Subjects, tmp_path: Path) -> None:
    (outcome,) = bench(subjects, tmp_path, dry_run=True).run([HostDevice(tmp_path / "host")], never)
    assert outcome.plan is not None and len(outcome.plan.runs) == 2
    assert outcome.runs == () and outcome.error is None
    assert not (tmp_path / "out").exists()


def test_a_session_is_recorded_and_played_back(subjects: Subjects, tmp_path: Path) -> None:
    session = tmp_path / "session.json"
    recorder = RecordingDevice(HostDevice(tmp_path / "host"))
    (first,) = bench(subjects, tmp_path, record=session).run([recorder], never)
    assert first.error is None and first.runs[0].complete, first
    devices = open_devices(replay=session)
    assert isinstance(devices[0], ReplayDevice)
    (again,) = bench(subjects, tmp_path / "again").run(devices, never)
    assert [each.measured for each in again.runs[0].rounds] == [each.measured for each in first.runs[0].rounds]


def test_which_devices_are_opened(tmp_path: Path) -> None:
    (host,) = open_devices(("host",))
    assert host.kind == "host"
    (recorder,) = open_devices(("host",), record=tmp_path / "s.json")
    assert isinstance(recorder, RecordingDevice)
    with pytest.raises(EdgevitExportError, match="nobody"):
        open_devices(("nobody",))


def test_a_recording_needs_a_single_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtimes.devices import select

    two = [HostDevice(tmp_path / "a"), HostDevice(tmp_path / "b")]
    monkeypatch.setattr(select, "select_devices", lambda *_, **__: two)
    with pytest.raises(UsageError, match="--record needs a single device"):
        open_devices(("a", "b"), record=tmp_path / "s.json")


class Named(HostDevice):
    """This host under another name."""

    def __init__(self, directory: Path, serial: str) -> None:
        super().__init__(directory)
        self.serial = serial


def test_a_device_that_fails_stops_no_other_and_all_share_one_turn(
    subjects: Subjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[Lock] = []

    def measured(self: Measurement, *, dry_run: bool = False) -> DeviceOutcome:
        turns.append(self.meter_turn)  # type: ignore[arg-type]
        if self.device.serial == "bad":
            raise DeviceError("it burns")
        return DeviceOutcome(self.device.serial)

    monkeypatch.setattr(measure_module.Measurement, "run", measured)
    devices = [Named(tmp_path / name, name) for name in ("good", "bad", "fine")]
    outcomes = bench(subjects, tmp_path).run(devices, never)
    assert [(each.serial, each.error and each.error.message) for each in outcomes] == [
        ("good", None), ("bad", "it burns"), ("fine", None),
    ]  # fmt: skip
    assert len(turns) == 3 and len({id(turn) for turn in turns}) == 1


def test_an_interrupt_stops_every_device(subjects: Subjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends the bench in one thread is passed on when all others have seen that they are to stop."""
    stopped: list[str] = []
    begun = Event()

    def measured(self: Measurement, *, dry_run: bool = False) -> DeviceOutcome:
        if self.device.serial == "first":
            assert begun.wait(10.0)
            raise KeyboardInterrupt
        begun.set()
        for _ in range(1000):
            if self.stop():
                stopped.append(self.device.serial)
                break
            Event().wait(0.01)
        return DeviceOutcome(self.device.serial)

    monkeypatch.setattr(measure_module.Measurement, "run", measured)
    said: list[str] = []
    devices: list[Device] = [Named(tmp_path / name, name) for name in ("first", "second")]
    with pytest.raises(KeyboardInterrupt):
        bench(subjects, tmp_path).run(devices, lambda: said.append("stopping"))
    assert (stopped, said) == (["second"], ["stopping"])


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[AdbRig]:
    if reason := why_not():
        pytest.skip(reason)
    rig = AdbRig(tmp_path)
    yield rig
    rig.close()


def test_one_of_two_devices_is_lost_and_the_other_goes_on(
    rig: AdbRig, subjects: Subjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience_module, "RECONNECT_S", 1.0)
    steady, lost = rig.add("steady"), rig.add("lost")
    for daemon in (steady, lost):
        (daemon.data / "dumpsys_power").write_text("mWakefulness=Awake\n")
        (tmp_path / daemon.serial[-5:]).mkdir()
    # Both daemons are this host: directories of their own keep them apart.
    monkeypatch.setattr(AdbDevice, "scratch_dir", lambda self: str(tmp_path / self.serial[-5:]))
    events = {
        steady.serial: Events(),
        lost.serial: Events(lambda planned: lost.pull_cable() if planned.round == 1 else None),
    }
    devices = open_devices((steady.serial, lost.serial), adb_server=str(rig.server))
    good, bad = bench(subjects, tmp_path, events=events).run(devices, never)
    assert good.error is None and good.runs[0].complete
    assert bad.error is not None and bad.error.exit_code == DeviceError.exit_code
    assert len(bad.runs[0].rounds) == 1 and bad.runs[0].failure is not None
    (partial,) = (tmp_path / "out").rglob("*.partial.json")
    assert partial.parent.name == lost.serial.replace(":", "_")
