"""One planned process on a device: what goes there, what is started, what comes back."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_rig import measure
from fault_daemon import FaultDaemon, Faults

from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.device import Transfer
from runtimes.devices.host import HostDevice
from runtimes.runners.runner import Subject

pytestmark = pytest.mark.usefixtures("state_dir")


Make = Callable[[Faults], tuple[FaultDaemon, AdbDevice]]


def test_a_daemon_without_exit_codes_is_measured_all_the_same(faulty: Make, model: Subject, tmp_path: Path) -> None:
    _, device = faulty(Faults(shell_v2=False, merge_with_pty_line_ends=True))
    (run,) = measure(device, [model], tmp_path / "out").runs
    assert run.complete, run.failure
    assert {each.verification.status for each in run.rounds} == {"passed"}


def test_a_full_disk_fails_with_the_next_step(faulty: Make, model: Subject, tmp_path: Path) -> None:
    _, device = faulty(Faults(refuse_push="couldn't create file: No space left on device"))
    (run,) = measure(device, [model], tmp_path / "out").runs
    assert run.failure is not None
    assert "is full" in run.failure.message
    assert "--remote-dir" in (run.failure.hint or "")


class Altering(HostDevice):
    """Outputs are not what was written by the time they arrive."""

    def pull(self, remote: str, local: Path, **options: object) -> Transfer:
        done = super().pull(remote, local, **options)  # type: ignore[arg-type]
        if remote.endswith(".outputs.npz"):
            local.write_bytes(local.read_bytes() + b"x")
        return done


def test_outputs_that_were_changed_on_their_way_are_refused(model: Subject, tmp_path: Path) -> None:
    (run,) = measure(Altering(tmp_path / "host"), [model], tmp_path / "out").runs
    assert run.failure is not None
    assert "the outputs were changed on their way" in run.failure.message


def elf(path: Path, machine: int) -> Path:
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, machine) + bytes(100))
    path.chmod(0o755)
    return path


def test_a_program_that_the_device_cannot_execute(adb_device: AdbDevice, model: Subject, tmp_path: Path) -> None:
    broken = elf(tmp_path / "perf", 62)  # right machine by its header, nothing behind it
    (run,) = measure(adb_device, [model], tmp_path / "out", runner=str(broken)).runs
    assert run.failure is not None
    assert "cannot be executed on the device" in run.failure.message
