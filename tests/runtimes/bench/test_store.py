"""Records on the disk while a device is measured: what is kept, replaced, continued."""

from __future__ import annotations

import json
import shlex
import tempfile
from pathlib import Path

import msgspec
import pytest
from bench_rig import Events, measure, misbehaving_python
from latency_records import device_run, normal_rounds

from edgevit.errors import DeviceError, MeterError, UsageError
from edgevit.records import sha256_file
from edgevit.temporary import temporary_file
from runtimes.bench.layout import MeteredLayout
from runtimes.bench.plan import Job
from runtimes.bench.record import DeviceRun, EnergyRun, Round, partial_path
from runtimes.bench.request import BenchRequest, Conditions, MeterRequest
from runtimes.bench.store import RecordStore
from runtimes.devices.host import HostDevice
from runtimes.power.scenarios import scenario_named
from runtimes.power.simulate import simulate
from runtimes.power.trace import PowerTrace
from runtimes.runners.process import PlannedRun
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Subject
from runtimes.runners.schedule import scheduled
from runtimes.runners.workload import Workload

pytestmark = pytest.mark.usefixtures("state_dir")


def test_resume_skips_what_is_finished_and_redoes_what_was_measured_otherwise(model: Subject, tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "host")
    first = measure(device, [model], tmp_path / "out").runs
    events = Events()
    assert measure(device, [model], tmp_path / "out", events=events, resume=True).runs == first
    assert events.started == []
    measure(device, [model], tmp_path / "out", events=events, resume=True, warmup=2)
    assert len(events.started) == 2


def test_a_failure_does_not_touch_an_earlier_result(model: Subject, tmp_path: Path) -> None:
    device = HostDevice(tmp_path / "host")
    measure(device, [model], tmp_path / "out", threads=(2,))
    (stored,) = (tmp_path / "out").rglob("*t2.json")
    before = stored.read_bytes()
    python = misbehaving_python(tmp_path / "python", "exit 3")
    (run,) = measure(device, [model], tmp_path / "out", threads=(2,), python=python).runs
    assert run.failure is not None
    assert stored.read_bytes() == before


def job_of(model: Subject, **workload: object) -> Job:
    made = Workload(**{"runs": 4, "rounds": 2, "warmup": 1, **workload})  # type: ignore[arg-type]
    return Job(model, PythonRunner("python3"), made)


def store_of(
    tmp_path: Path, job: Job, *, meter: str | None = None, conditions: Conditions | None = None, idle_s: float = 4.0
) -> RecordStore:
    request = BenchRequest(
        workload=job.workload, conditions=conditions or Conditions(),
        meter=MeterRequest(name=meter, idle_s=idle_s) if meter else None,
    )  # fmt: skip
    return RecordStore(tmp_path / "out", "host", [job], request)


@pytest.fixture
def rounds() -> list[Round]:
    """Of some other record, which is all that keeping them needs."""
    return list(device_run(normal_rounds(10.0, seed=0)).rounds[:2])


def with_rounds(store: RecordStore, job: Job, rounds: list[Round]) -> RecordStore:
    for each in rounds:
        store.add_round(job.key, each)
    return store


def energy_of(meter: str, job: Job, round: Round) -> EnergyRun:
    laid_out = msgspec.structs.replace(scheduled(job.workload), idle_s=4.5)
    layout = MeteredLayout(workload=laid_out, whole_run=False, latency_s=0.01, expected_s=20.0)
    return EnergyRun(
        meter=meter, period_s=0.0002, layout=layout, run=round, trace_file="x.energy.npz", trace_sha256="0" * 64,
        device_to_trace_s=None,
    )  # fmt: skip


def test_a_record_is_complete_with_its_last_round_and_not_before(
    model: Subject, tmp_path: Path, rounds: list[Round]
) -> None:
    job = job_of(model)
    store = store_of(tmp_path, job)
    partial = partial_path(store.path(job.key))
    store.add_round(job.key, rounds[0])
    assert DeviceRun.load(partial) == store[job.key]
    assert [each.key for each in store.open_jobs] == [job.key]
    store.add_round(job.key, rounds[1])
    assert DeviceRun.load(store.path(job.key)).complete
    assert not partial.exists() and store.open_jobs == []


def test_an_incomplete_record_never_touches_a_complete_one(model: Subject, tmp_path: Path, rounds: list[Round]) -> None:
    job = job_of(model)
    path = tmp_path / "out" / "host" / f"{job.key}.json"
    with_rounds(store_of(tmp_path, job), job, rounds)
    stored = path.read_bytes()
    again = store_of(tmp_path, job)
    again.add_round(job.key, rounds[0])
    failure = again.fail(job.key, DeviceError("it was lost", hint="plug it in"), 1)
    assert path.read_bytes() == stored
    assert (failure.message, failure.round) == ("tiny.onnx on host: it was lost", 1)
    assert DeviceRun.load(partial_path(path)).failure == failure
    assert again.open_jobs == []


def test_with_a_meter_a_record_lacks_its_energy(model: Subject, tmp_path: Path, rounds: list[Round]) -> None:
    job = job_of(model)
    store = store_of(tmp_path, job, meter="rapl")
    for each in rounds:
        store.add_round(job.key, each)
    assert not store.path(job.key).exists()
    failure = store.fail_energy(job.key, MeterError("rapl cannot tell: tiny.onnx is too quick"))
    assert failure.message == "rapl cannot tell: tiny.onnx is too quick", "what names the artifact needs no more"
    assert failure.exit_code == 4
    assert store[job.key].failure is None, "the latencies stand"
    store.add_energy(job.key, energy_of("rapl", job, rounds[0]))
    assert store[job.key].complete and store.path(job.key).exists()


def test_latencies_whose_energy_failed_are_complete_when_no_energy_is_asked_for(
    model: Subject, tmp_path: Path, rounds: list[Round]
) -> None:
    job = job_of(model)
    first = with_rounds(store_of(tmp_path, job, meter="rapl"), job, rounds)
    first.fail_energy(job.key, MeterError("unplugged"))
    store = store_of(tmp_path, job)
    store.resume()
    assert store.open_jobs == [] and not store.path(job.key).exists(), "a look changes nothing"
    store.keep_completed()
    kept = DeviceRun.load(store.path(job.key))
    assert kept.complete and kept.energy_failure is None and kept.rounds == tuple(rounds)
    assert not partial_path(store.path(job.key)).exists()


def test_energy_of_another_meter_is_no_answer_and_stays_in_its_record(
    model: Subject, tmp_path: Path, rounds: list[Round]
) -> None:
    job = job_of(model)
    first = with_rounds(store_of(tmp_path, job, meter="rapl"), job, rounds)
    energy = energy_of("rapl", job, rounds[0])
    trace = first.path(job.key).with_name(energy.trace_file)
    trace.write_bytes(b"a trace")
    first.add_energy(job.key, msgspec.structs.replace(energy, trace_sha256=sha256_file(trace)))
    stored = first.path(job.key).read_bytes()
    other = store_of(tmp_path, job, meter="monsoon")
    other.resume()
    assert [each.key for each in other.open_jobs] == [job.key]
    other.fail_energy(job.key, MeterError("no unit on USB"))
    assert other[job.key].energy is None, "rapl's figures would be told as the monsoon's"
    assert first.path(job.key).read_bytes() == stored
    same = store_of(tmp_path, job, meter="rapl")
    same.resume()
    assert same[job.key].energy is not None and same.open_jobs == []
    plain = store_of(tmp_path, job)
    plain.resume()
    assert plain[job.key].rounds == first[job.key].rounds and plain[job.key].energy is None
    for store in (same, plain):
        store.keep_completed()
    assert first.path(job.key).read_bytes() == stored, "a bench without a meter loses no energy"
    assert DeviceRun.load(plain.path(job.key)).complete


def with_energy(tmp_path: Path, job: Job, rounds: list[Round], *, old: bool = False) -> RecordStore:
    """A complete record, its trace beside it; ``old`` as the version before wrote it, without a schedule."""
    store = with_rounds(store_of(tmp_path, job, meter="rapl"), job, rounds)
    energy = energy_of("rapl", job, rounds[0])
    if old:
        workload = msgspec.structs.replace(energy.layout.workload, schedule=(), idle_s=4.0)
        energy = msgspec.structs.replace(energy, layout=msgspec.structs.replace(energy.layout, workload=workload))
    trace = store.path(job.key).with_name(energy.trace_file)
    trace.write_bytes(b"a trace")
    store.add_energy(job.key, msgspec.structs.replace(energy, trace_sha256=sha256_file(trace)))
    return store


@pytest.mark.parametrize(
    "asked",
    [{"gap_spread": 0.0}, {"burst_factors": (1,)}, {"controls": 4}, {"seed": 3}, {"burst": 7}, {"idle_s": 8.0}],
)
def test_energy_laid_out_otherwise_is_measured_again_and_the_earlier_one_is_kept(
    model: Subject, tmp_path: Path, rounds: list[Round], asked: dict[str, object]
) -> None:
    job = job_of(model)
    first = with_energy(tmp_path, job, rounds)
    stored = first.path(job.key).read_bytes()
    idle_s = asked.pop("idle_s", 4.0)
    other = job_of(model, **asked)
    again = store_of(tmp_path, other, meter="rapl", idle_s=idle_s)  # type: ignore[arg-type]
    assert again.resume() == []
    assert again[other.key].energy is None and len(again[other.key].rounds) == len(rounds)
    assert [each.key for each in again.open_jobs] == [other.key]
    assert (other.key == job.key) == (not asked), "what is asked for of the run stands in its name"
    assert first.path(job.key).read_bytes() == stored
    same = store_of(tmp_path, job, meter="rapl")
    same.resume()
    assert same.open_jobs == []


def test_energy_of_a_version_that_wrote_no_schedule_is_measured_again(
    model: Subject, tmp_path: Path, rounds: list[Round]
) -> None:
    """Its gaps and bursts were all alike, which is not what is asked for now when nothing is said."""
    stamped = device_run(normal_rounds(10.0, seed=0)).rounds[:2]
    assert stamped[0].measured.samples[0].start_monotonic_ns is not None
    job = job_of(model)
    with_energy(tmp_path, job, list(stamped), old=True)
    again = store_of(tmp_path, job, meter="rapl")
    assert again.resume() == []
    assert again[job.key].energy is None and len(again[job.key].rounds) == 2


def test_energy_whose_trace_is_lost_or_another_is_measured_again(
    model: Subject, tmp_path: Path, rounds: list[Round]
) -> None:
    job = job_of(model)
    first = with_rounds(store_of(tmp_path, job, meter="rapl"), job, rounds)
    energy = energy_of("rapl", job, rounds[0])
    first.add_energy(job.key, energy)
    first.path(job.key).with_name(energy.trace_file).write_bytes(b"another")
    again = store_of(tmp_path, job, meter="rapl")
    assert again.resume() == []
    assert again[job.key].energy is None and len(again[job.key].rounds) == len(rounds)
    assert [each.key for each in again.open_jobs] == [job.key]


def test_a_record_that_cannot_be_read_is_named_and_stops_nothing(
    model: Subject, tmp_path: Path, rounds: list[Round]
) -> None:
    job = job_of(model)
    first = with_rounds(store_of(tmp_path, job), job, rounds)
    first.path(job.key).with_name("other.json").write_text("{")
    again = store_of(tmp_path, job)
    (problem,) = again.resume()
    assert "other.json is not a valid DeviceRun record" in problem
    assert again.open_jobs == []


def test_a_record_of_version_1_is_continued(model: Subject, tmp_path: Path, rounds: list[Round]) -> None:
    """Also under conditions: version 1 did not keep them."""
    job = job_of(model)
    store = store_of(tmp_path, job)
    for each in rounds:
        store.add_round(job.key, each)
    old = json.loads(store.path(job.key).read_text())
    settings = {name: old["workload"][name] for name in ("runs", "rounds", "warmup", "affinity", "timeout_s")}
    for name in ("workload", "conditions", "energy", "energy_failure"):
        del old[name]
    old |= {"schema_version": 1, "threads": 1, "settings": {**settings, "gap_ms": 0.0}}
    store.path(job.key).write_text(json.dumps(old))
    again = store_of(tmp_path, job, meter="rapl", conditions=Conditions(max_temp_c=40.0))
    again.resume()
    assert again[job.key].rounds == tuple(rounds)
    assert [each.key for each in again.open_jobs] == [job.key], "only its energy is missing"


def test_what_cannot_be_kept_where_it_belongs_is_kept_elsewhere(
    model: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is taken away between two rounds: all that was measured by then and later is saved once more."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    taken, out = [], tmp_path / "o ut; $(touch PWNED)"

    def take_away(planned: PlannedRun) -> None:
        if planned.round == 1 and not taken:
            taken.append((out / "host").rename(tmp_path / "taken"))
            (out / "host").write_text("in its place")

    events = Events(take_away)
    outcome = measure(HostDevice(tmp_path / "host"), [model], out, events=events)
    assert outcome.error is not None and outcome.error.exit_code == 5
    (elsewhere,) = tmp_path.glob("edgevit-records-*")
    assert outcome.directory == elsewhere
    why = f"{out / 'host'} is a file, not a directory; what was measured from then on is in {elsewhere}"
    assert outcome.error.message.endswith(why)
    assert outcome.error.hint is not None
    before, _, command = outcome.error.hint.partition(": ")
    assert (before, shlex.split(command)) == ("free some space, then", ["mv", f"{elsewhere}/*", str(out / "host")])
    (stored,) = elsewhere.glob("*.json")
    assert DeviceRun.load(stored) == outcome.runs[0]
    assert outcome.runs[0].complete and len(outcome.runs[0].rounds) == 2
    assert (out / "host").read_text() == "in its place"


def test_what_can_be_kept_nowhere_is_still_returned(
    model: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    store = store_of(tmp_path, job_of(model))
    out.write_text("in its place")
    monkeypatch.setattr(tempfile, "tempdir", str(out / "nowhere"))
    (job,) = store.open_jobs
    failure = store.fail(job.key, DeviceError("gone"))
    assert store[job.key].failure == failure
    assert store.moved is not None and "only the output of this command holds what was measured" in store.moved.message
    trace = simulate(scenario_named("short"), 0).trace
    with pytest.raises(UsageError, match="cannot write"):
        store.keep_trace(job.key, trace)


def test_a_trace_goes_where_its_record_goes(model: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = store_of(tmp_path, job_of(model), meter="monsoon")
    (job,) = store.open_jobs
    asked = store.directory
    asked.parent.mkdir(parents=True, exist_ok=True)
    asked.write_text("in the way")
    trace = simulate(scenario_named("short"), 0).trace
    path = store.keep_trace(job.key, trace)
    assert path.parent == store.directory != asked
    assert len(PowerTrace.load(path).flags) == len(trace.flags)
    store.fail(job.key, DeviceError("gone"))
    assert partial_path(store.path(job.key)).parent == path.parent
    assert DeviceRun.load(partial_path(store.path(job.key))) == store[job.key]


def test_what_another_process_is_writing_is_not_resumed(model: Subject, tmp_path: Path) -> None:
    store = store_of(tmp_path, job_of(model))
    store.directory.mkdir(parents=True)
    with temporary_file(store.directory, ".json") as half:
        half.write_text('{"half')
        assert store.resume() == []
