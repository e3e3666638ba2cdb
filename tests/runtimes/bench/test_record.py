"""``DeviceRun`` on the disk: this version, the one before, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from latency_records import device_run, normal_rounds

from edgevit.errors import ArtifactError
from export.artifact import ParityResult
from runtimes.bench.layout import MeteredLayout
from runtimes.bench.record import DeviceRun, EnergyRun, partial_path, record_directory, record_key
from runtimes.bench.request import Conditions
from runtimes.runners.runner import Subject
from runtimes.runners.workload import Workload

DATA = Path(__file__).parents[2] / "data" / "records"


def test_a_record_of_version_1_is_still_read() -> None:
    """Written by the version before; see the README beside it."""
    run = DeviceRun.load(DATA / "device_run_version_1.json")
    assert run.schema_version == 2
    assert run.workload == Workload(runs=4, rounds=2, warmup=1, gap_ms=None, threads=1, affinity=None, timeout_s=600.0)
    assert run.conditions is None and run.energy is None and run.complete
    assert [len(each.measured.samples) for each in run.rounds] == [2, 2]
    assert DeviceRun.from_json(run.to_json()) == run


def test_gaps_and_cores_of_version_1_are_kept() -> None:
    old = json.loads((DATA / "device_run_version_1.json").read_text())
    old["settings"] |= {"gap_ms": 20.0, "affinity": "f0"}
    workload = DeviceRun.from_json(json.dumps(old)).workload
    assert (workload.gap_ms, workload.affinity) == (20.0, "f0")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 0}, "schema_version"),
        ({"rounds": 5}, "rounds"),
        ({"settings": None}, "settings"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_is_no_record_is_refused(change: dict[str, object], words: str) -> None:
    old = json.loads((DATA / "device_run_version_1.json").read_text()) | change
    with pytest.raises(ArtifactError, match=rf"x\.json is not a valid DeviceRun record: .*{words}"):
        DeviceRun.from_json(json.dumps(old), origin="x.json")
    with pytest.raises(ArtifactError, match="not a valid DeviceRun record"):
        DeviceRun.from_json("{", origin="x.json")
    with pytest.raises(ArtifactError, match=r"x\.json is a DeviceRun record of a newer version \(3\)") as newer:
        DeviceRun.from_json(json.dumps(old | {"schema_version": 3, "unheard_of": {}}), origin="x.json")
    assert newer.value.hint == "update edgevit-export"


def test_only_a_record_of_the_same_workload_and_conditions_is_continued() -> None:
    run = msgspec.structs.replace(device_run(normal_rounds(10.0, seed=0)), conditions=Conditions())
    replace = msgspec.structs.replace
    assert run.continues(run)
    assert replace(run, conditions=None).continues(run), "version 1 kept no conditions"
    assert not run.continues(replace(run, workload=replace(run.workload, gap_ms=5.0)))
    assert not run.continues(replace(run, conditions=Conditions(max_temp_c=40.0)))
    assert not run.continues(replace(run, artifact=replace(run.artifact, sha256="1" * 64)))
    assert not run.continues(replace(run, runner="benchmark_model"))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "python-t1"),
        ({"gap_spread": 0.6, "burst_factors": (1, 3), "seed": 0}, "python-t1"),
        ({"gap_spread": 0.0}, "python-spread0-t1"),
        ({"gap_spread": 0.25, "burst_factors": (1, 2), "controls": 0, "seed": 7},
         "python-spread0.25-controls0-seed7-factors1_2-t1"),
        ({"gap_ms": 20.0, "burst": 5, "burst_factors": (1,)}, "python-gap20-burst5-factors1-t1"),
    ],
)  # fmt: skip
def test_what_differs_from_the_plain_workload_stands_in_the_name(
    model: Subject, asked: dict[str, object], words: str
) -> None:
    key = record_key(model, "python", Workload(**asked))  # type: ignore[arg-type]
    assert key == f"tiny.onnx-{model.sha256[:8]}-{words}"


def test_energy_before_schedules_is_read_as_it_was_laid_out(model: Subject) -> None:
    """Bursts of one length with constant gaps; what it does not hold stands for just that."""
    round = device_run(normal_rounds(10.0, seed=0)).rounds[0]
    count = len(round.measured.samples)
    work = Workload(runs=count, rounds=1, gap_ms=100.0, burst=5, idle_s=4.0)
    layout = MeteredLayout(workload=work, whole_run=False, latency_s=0.01, expected_s=20.0)
    energy = EnergyRun(
        meter="monsoon", period_s=2e-4, layout=layout, run=round, trace_file="x", trace_sha256="0",
        device_to_trace_s=None,
    )  # fmt: skip
    old = json.loads(energy.to_json())
    for name in ("gap_spread", "burst_factors", "controls", "seed", "schedule"):
        del old["layout"]["workload"][name]
    del old["run"]["measured"]["controls"]
    back = EnergyRun.from_json(json.dumps(old))
    assert back == energy and back.stamps is not None
    assert back.stamps.burst_counts == (5,) * (count // 5) and back.stamps.controls == ()


def test_names_of_files() -> None:
    assert partial_path(Path("a/b.json")) == Path("a/b.partial.json")
    assert record_directory(Path("results"), "127.0.0.1:5555") == Path("results/127.0.0.1_5555")


@pytest.mark.parametrize("serial", ["..", ".", "", "../..", "/tmp", "a/../../b"])
def test_no_device_writes_beside_the_output_directory(serial: str) -> None:
    directory = record_directory(Path("results"), serial)
    assert directory.parent == Path("results") and directory.name not in (".", "..")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rounds/0/verification/parity/cosine", 7.0),
        ("rounds/0/verification/parity/top1_agreement", 3.0),
        ("rounds/0/verification/parity/max_abs_error", -1.0),
        ("rounds/0/verification/parity/passed", False),
        ("rounds/0/index", 5),
        ("rounds/0/measured/samples", []),
        ("rounds/0/before/cpus/0/index", 10**12),
        ("workload/runs", 0),
        ("workload/threads", -1),
        ("workload/threads", 10**9),
        ("artifact/size_bytes", -1),
        ("artifact/sha256", "zz"),
        ("artifact/inputs", [{"name": "x", "shape": [1, 3, 10**12]}]),
        ("created_utc", "yesterday"),
    ],
)
def test_a_figure_that_nothing_real_has_is_refused(path: str, value: object) -> None:
    record = json.loads(device_run(normal_rounds(12.0, seed=0)).to_json())
    parity = ParityResult(
        passed=True, runtime="r", inputs_compared=1, max_abs_error=0.0, mean_abs_error=0.0, yardstick=1.0, multiple=0.0,
        sqnr_db=300.0, cosine=1.0,
    )  # fmt: skip
    record["rounds"][0]["verification"] = {"status": "passed", "parity": msgspec.to_builtins(parity)}
    DeviceRun.from_json(json.dumps(record))
    *above, last = path.split("/")
    place = record
    for key in above:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    with pytest.raises(ArtifactError, match="not a valid DeviceRun record"):
        DeviceRun.from_json(json.dumps(record))
