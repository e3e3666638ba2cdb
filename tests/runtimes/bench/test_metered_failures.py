"""What goes wrong or is done before in a run under a meter; figures are not judged, so waits are short."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

import msgspec
from bench_rig import Events, measure, misbehaving_python, onnx_subject, processes_of
from metered import Host, measure_energy
from stamp_meter import StampMeter

import runtimes.bench.held as held_module
import runtimes.bench.layout as layout_module
import runtimes.bench.metered as metered_module
from edgevit.errors import MeterError
from runtimes.bench.layout import MeteredLayout
from runtimes.bench.metered import longest_s
from runtimes.bench.request import Conditions
from runtimes.conditions.lease import DeviceSession
from runtimes.devices.device import ProcessHandle
from runtimes.runners.workload import Workload

pytestmark = pytest.mark.usefixtures("state_dir")

TINY = Workload(runs=3, rounds=2, warmup=2, gap_ms=5.0, burst=2000, timeout_s=60.0)
IDLE_S = 0.2


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_module, "LEAST_IDLE_S", IDLE_S)
    monkeypatch.setattr(metered_module, "ARM_S", 0.3)
    monkeypatch.setattr(metered_module, "AROUND_S", 0.5)


def kept_in(scratch: Path) -> set[str]:
    return {path.suffix for path in (scratch / "bench").iterdir()}


def test_a_meter_lost_in_the_middle_ends_the_run_and_brings_the_device_back(tmp_path: Path) -> None:
    device, meter = Host(tmp_path / "scratch"), StampMeter(tmp_path, fails=True)
    subjects = [onnx_subject(tmp_path / "a.onnx"), onnx_subject(tmp_path / "b.onnx", scale=1.0 + 1e-7)]
    first, second = measure_energy(device, subjects, tmp_path / "out", meter, TINY, idle_s=IDLE_S).runs
    for run in (first, second):
        assert len(run.rounds) == 2 and run.failure is None, "the latencies stand"
        assert run.energy is None and run.energy_failure is not None
        assert "unplugged" in run.energy_failure.message and run.energy_failure.exit_code == MeterError.exit_code
    assert meter.calls.count("start") == 1, "a meter that is gone is not tried for each artifact"
    assert meter.calls[-1] == "close" and "stop" not in meter.calls
    assert device.reconnected == 1
    assert processes_of(tmp_path) == []
    assert kept_in(tmp_path / "scratch") == {".onnx", ".npz", ".pyz", ".files"}


def test_resume_measures_only_the_energy_that_is_missing(tmp_path: Path) -> None:
    subject, out = onnx_subject(tmp_path / "tiny.onnx"), tmp_path / "out"
    broken = StampMeter(tmp_path, fails=True)
    (first,) = measure_energy(Host(tmp_path / "s"), [subject], out, broken, TINY, idle_s=IDLE_S).runs
    assert [path.name.endswith(".partial.json") for path in (out / "host").glob("*.json")] == [True]
    events = Events()
    (second,) = measure_energy(
        Host(tmp_path / "s"), [subject], out, StampMeter(tmp_path), TINY, idle_s=IDLE_S, events=events, resume=True
    ).runs
    assert events.started == []
    assert second.rounds == first.rounds
    assert second.energy is not None and second.energy_failure is None and second.complete
    meter = StampMeter(tmp_path)
    (third,) = measure_energy(Host(tmp_path / "s"), [subject], out, meter, TINY, idle_s=IDLE_S, resume=True).runs
    assert third == second
    assert "start" not in meter.calls


def test_conditions_hold_for_the_metered_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a temperature that cannot be reached, energy is refused as latency is."""
    asked: list[float] = []

    class Wait:
        """What waiting for a temperature told."""

        reached = True
        waited_s = 0.0

    def waited(device: object, limit_c: float, *, timeout_s: float) -> Wait:
        asked.append(limit_c)
        return Wait()

    monkeypatch.setattr(held_module, "wait_for_temperature", waited)
    (run,) = measure_energy(
        Host(tmp_path / "s"), [onnx_subject(tmp_path / "tiny.onnx")], tmp_path / "out", StampMeter(tmp_path), TINY,
        idle_s=IDLE_S, conditions=Conditions(max_temp_c=45.0, cooldown_s=1.0),
    ).runs  # fmt: skip
    assert asked == [45.0] * 3, "two rounds and the metered run"
    assert run.conditions == Conditions(max_temp_c=45.0, cooldown_s=1.0)


def test_what_the_meter_cannot_resolve_fails_the_energy_alone(tmp_path: Path) -> None:
    subject = onnx_subject(tmp_path / "tiny.onnx")
    short = msgspec.structs.replace(TINY, burst=1)
    (run,) = measure_energy(
        Host(tmp_path / "s"), [subject], tmp_path / "out", StampMeter(tmp_path), short, idle_s=IDLE_S
    ).runs
    assert run.failure is None and len(run.rounds) == 2
    assert run.energy_failure is not None
    assert "cannot tell the energy of one" in run.energy_failure.message


def test_an_artifact_that_does_not_run_fails_before_the_meter_samples(tmp_path: Path) -> None:
    subject = onnx_subject(tmp_path / "m.onnx")
    subject.path.write_bytes(b"no model")
    meter = StampMeter(tmp_path)
    (run,) = measure_energy(Host(tmp_path / "scratch"), [subject], tmp_path / "out", meter, TINY, idle_s=IDLE_S).runs
    assert run.failure is not None and "the runner failed" in run.failure.message
    assert run.energy_failure is None
    assert "start" not in meter.calls and meter.calls[-1] == "close"


def test_a_metered_process_that_fails_is_told_with_its_latencies_kept(tmp_path: Path) -> None:
    python = misbehaving_python(tmp_path / "python", "true")
    Path(python).write_text(
        Path(python)
        .read_text()
        .replace('"threads": 2', f'"idle_s": {IDLE_S + layout_module.SETTLING_S}')
        .replace("    true", "    exit 3")
    )
    (run,) = measure_energy(
        Host(tmp_path / "s"), [onnx_subject(tmp_path / "tiny.onnx")], tmp_path / "out", StampMeter(tmp_path), TINY,
        idle_s=IDLE_S, python=python,
    ).runs  # fmt: skip
    assert len(run.rounds) == 2
    assert run.energy_failure is not None and "exit code 3" in run.energy_failure.message
    assert kept_in(tmp_path / "s") == {".onnx", ".npz", ".pyz", ".files"}


def test_a_process_that_left_no_exit_code_is_not_told_as_a_failure_of_its_own(tmp_path: Path) -> None:
    """As when memory runs out: the kernel ends the process and the shell around it."""

    class Starved(Host):
        def spawn_detached(self, argv: Sequence[str], *, log: str, rc_file: str | None = None) -> ProcessHandle:
            handle = super().spawn_detached(argv, log=log, rc_file=rc_file)
            if rc_file is not None:
                os.killpg(handle.pid, signal.SIGKILL)
            return handle

    device = Starved(tmp_path / "scratch")
    subject = onnx_subject(tmp_path / "tiny.onnx")
    (run,) = measure_energy(device, [subject], tmp_path / "out", StampMeter(tmp_path), TINY, idle_s=IDLE_S).runs
    assert run.energy_failure is not None and run.energy_failure.exit_code == 4
    assert "is gone and left no exit code: it was killed together with the shell" in run.energy_failure.message
    assert "exit code 1" not in run.energy_failure.message
    assert run.energy_failure.hint is not None and "out of memory" in run.energy_failure.hint
    assert kept_in(tmp_path / "scratch") == {".onnx", ".npz", ".pyz", ".files"}


def test_the_lease_lets_the_longest_run_end() -> None:
    """Inferences may take a tenth longer than planned, which in a run of a day is more than any fixed margin."""
    workload = msgspec.structs.replace(TINY, idle_s=4.0)
    short, day = (
        MeteredLayout(workload=workload, whole_run=False, latency_s=0.01, expected_s=seconds)
        for seconds in (0.0, 86_400.0)
    )
    assert longest_s(day, 5.0) - longest_s(short, 5.0) >= 1.1 * 86_400
    assert longest_s(short, 25.0) - longest_s(short, 5.0) == 20.0
    assert longest_s(short, 5.0) >= 4.0 + 5.0


def test_the_lease_is_renewed_while_files_are_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_module, "RENEWAL_PERIOD_S", -1.0)
    order: list[str] = []
    monkeypatch.setattr(DeviceSession, "extend", lambda self, lease_s: order.append("renewed"))
    events = Events()
    monkeypatch.setattr(events, "pushing", lambda item, done_bytes: done_bytes or order.append("pushed"))
    subjects = [onnx_subject(tmp_path / f"{name}.onnx", scale=scale) for name, scale in (("a", 1.0), ("b", 2.0))]
    measure(Host(tmp_path / "scratch"), subjects, tmp_path / "out", events=events)
    pushes = order.count("pushed")
    assert pushes > 2
    assert order[: 2 * pushes] == ["renewed", "pushed"] * pushes
