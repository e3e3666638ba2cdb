"""One planned process on a device: what goes there, what is started, what comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bench_rig import elf, measure
from fault_daemon import FaultDaemon, Faults

import runtimes.bench.process as process_module
from edgevit.errors import DeviceTimeoutError
from runtimes.bench.process import clearing, push_file, run_process
from runtimes.devices.adb.adb_device import AdbDevice
from runtimes.devices.host import HostDevice
from runtimes.runners.process import PlannedRun, plan_push
from runtimes.runners.runner import Subject
from runtimes.runners.workload import Workload

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

    def pull(self, remote: str, local: Path, **options: object) -> None:
        super().pull(remote, local, **options)  # type: ignore[arg-type]
        if remote.endswith(".outputs.npz"):
            local.write_bytes(local.read_bytes() + b"x")


def test_outputs_that_were_changed_on_their_way_are_refused(model: Subject, tmp_path: Path) -> None:
    (run,) = measure(Altering(tmp_path / "host"), [model], tmp_path / "out").runs
    assert run.failure is not None
    assert "the outputs were changed on their way" in run.failure.message


def test_a_program_that_the_device_cannot_execute(adb_device: AdbDevice, model: Subject, tmp_path: Path) -> None:
    broken = elf(tmp_path / "perf", 62)  # right machine by its header, nothing behind it
    (run,) = measure(adb_device, [model], tmp_path / "out", runner=str(broken)).runs
    assert run.failure is not None
    assert "cannot be executed on the device" in run.failure.message


def planned(directory: Path, script: str, **given: object) -> PlannedRun:
    fields = {"key": "k", "round": 0, "workload": Workload(timeout_s=20.0), "cwd": str(directory), **given}
    return PlannedRun(program="tool", argv=("sh", "-c", script, "sh", "a b", "$c"), **fields)  # type: ignore[arg-type]


def test_a_process_leaves_what_it_printed_its_code_and_its_files(tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "scratch")
    (tmp_path / "old $x").write_text("of an earlier run")
    work = planned(
        tmp_path, 'ls old*; echo "$1 $2 $V"; echo oops >&2; echo new >made; exit 3',
        clear=("old $x", "made"), fetch=("made", "never made"), environment={"V": "it's"},
    )  # fmt: skip
    done = run_process(device, work)
    assert (done.rc, done.stdout, dict(done.files)) == (3, "a b $c it's", {"made": b"new\n"})
    assert "oops" in done.stderr and "old" in done.printed
    assert not (tmp_path / "old $x").exists()


def test_a_program_that_prints_for_ever_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "MAX_LINES", 3)
    done = run_process(HostDevice(tmp_path / "scratch"), planned(tmp_path, "seq 1000"))
    assert done.stdout.split() == ["998", "999", "1000"]


def test_only_what_reads_a_log_notes_its_process(tmp_path: Path) -> None:
    (_, _, script, *_) = clearing(planned(tmp_path, "true", clear=("a", "b")))
    assert script == 'rm -f "${1}" "${2}"; shift 2; exec "$@"'
    (_, _, script, *_) = clearing(planned(tmp_path, "true", log_tag="ExecuTorch"))
    assert script == 'echo $$ >bench.pid; exec "$@"'


def test_a_process_that_hangs_is_told_by_the_name_of_its_program(tmp_path: Path) -> None:
    work = planned(tmp_path, "sleep 5", workload=Workload(timeout_s=0.4), environment={"A": "b"}, clear=("x",))
    with pytest.raises(DeviceTimeoutError, match=r"^'tool' on host "):
        run_process(HostDevice(tmp_path / "scratch"), work)


def test_a_push_makes_programs_executable(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    for is_program in (True, False):
        push_file(HostDevice(tmp_path / "s"), plan_push(tmp_path / "tool", str(tmp_path / "there"), program=is_program))
        assert bool((tmp_path / "there").stat().st_mode & 0o111) == is_program
        (tmp_path / "there").unlink()
