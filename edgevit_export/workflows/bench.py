"""Measuring on one or several devices: opened once, measured side by side, judged by what verification knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from edgevit.errors import EdgevitExportError, UsageError
from edgevit.records import failure_to_write
from edgevit.shell import quoted

if TYPE_CHECKING:
    from edgevit_export.workflows.subjects import Subjects
    from runtimes.bench.execute import Watcher
    from runtimes.bench.measure import DeviceOutcome
    from runtimes.bench.request import BenchRequest
    from runtimes.devices.device import Device
    from runtimes.devices.recording import RecordingDevice


def open_devices(
    names: tuple[str, ...] = (),
    *,
    adb_server: str | None = None,
    remote_dir: str | None = None,
    replay: Path | None = None,
    record: Path | None = None,
) -> list[Device]:
    """The devices of one bench; ``replay`` is a session to play back instead, ``record`` where to keep this one.

    Raises:
        UsageError: No such device, or several where one is needed.
        DeviceError: A device cannot be reached.
    """
    from runtimes.devices.attached import HOST
    from runtimes.devices.recording import Recording, RecordingDevice, ReplayDevice
    from runtimes.devices.select import select_device, select_devices

    unused = {"--device": names, "--adb-server": adb_server, "--remote-dir": remote_dir, "--record": record}
    if replay is not None and (given := [option for option, value in unused.items() if value]):
        raise UsageError(f"{', '.join(given)} with --replay: no device is used", hint=f"leave out {', '.join(given)}")
    if adb_server is not None and names and set(names) == {HOST}:
        raise UsageError(
            "--adb-server with --device host: this machine is behind no server", hint="leave one of them out"
        )
    if replay is not None:
        return [ReplayDevice(Recording.load(replay))]
    if names:
        devices = list(select_devices(names, adb_server=adb_server, remote_dir=remote_dir))
    else:
        devices = [select_device(None, adb_server=adb_server, remote_dir=remote_dir)]
    if record is None:
        return devices
    if len(devices) > 1:
        raise UsageError("--record needs a single device", hint=f"--device {quoted(devices[0].serial)}")
    return [RecordingDevice(devices[0])]


@dataclass(frozen=True)
class Bench:
    """One bench over several devices.

    Attributes:
        subjects: What is measured, and who judges the answers.
        request: How.
        output: Directory of the records.
        watcher_of: Gives the watcher of a device, by serial.
        record: Where the session with a single recording device is saved.
        dry_run: Only look and plan.
    """

    subjects: Subjects
    request: BenchRequest
    output: Path
    watcher_of: Callable[[str], Watcher]
    record: Path | None = None
    dry_run: bool = False

    def run(self, devices: Sequence[Device], stopping: Callable[[], None]) -> list[DeviceOutcome]:
        """Measure on all devices side by side, a shared meter in turns; one that fails does not stop the others.

        Args:
            devices: The devices.
            stopping: Called when an interrupt ends the bench, before the devices have ended their runs.
        """
        stop, turn = Event(), Lock()
        if len(devices) == 1:
            return [self._measure(devices[0], stop, turn)]
        with ThreadPoolExecutor(len(devices)) as pool:
            futures = [pool.submit(self._measure, device, stop, turn) for device in devices]
            try:
                return [future.result() for future in futures]
            except BaseException:
                stop.set()
                stopping()
                raise

    def _measure(self, device: Device, stop: Event, turn: Lock) -> DeviceOutcome:
        from runtimes.bench.measure import DeviceOutcome, Measurement
        from runtimes.devices.recording import RecordingDevice

        subjects, watcher = self.subjects, self.watcher_of(device.serial)
        measurement = Measurement(
            device, subjects.subjects, self.request, self.output, subjects.judge, watcher, turn, stop.is_set
        )
        try:
            with device:
                outcome = measurement.run(dry_run=self.dry_run)
                if self.record is not None and isinstance(device, RecordingDevice):
                    outcome = replace(outcome, error=outcome.error or self._keep_recording(device, self.record))
                return outcome
        except EdgevitExportError as error:
            return DeviceOutcome(serial=device.serial, error=error)

    def _keep_recording(self, device: RecordingDevice, path: Path) -> EdgevitExportError | None:
        """Write what a device answered; why that failed does not cost what was measured."""
        return failure_to_write(path, lambda path: device.recording(self.request.to_json()).save(path))
