"""``DeviceRun`` on the disk: this version, the one before, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from latency_records import device_run, normal_rounds

from edgevit.errors import ArtifactError
from runtimes.bench.record import DeviceRun, partial_path, safe_name
from runtimes.bench.request import Conditions
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
        ({"schema_version": 3}, "schema_version"),
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


def test_only_a_record_of_the_same_workload_and_conditions_is_continued() -> None:
    run = msgspec.structs.replace(device_run(normal_rounds(10.0, seed=0)), conditions=Conditions())
    replace = msgspec.structs.replace
    assert run.continues(run)
    assert replace(run, conditions=None).continues(run), "version 1 kept no conditions"
    assert not run.continues(replace(run, workload=replace(run.workload, gap_ms=5.0)))
    assert not run.continues(replace(run, conditions=Conditions(max_temp_c=40.0)))
    assert not run.continues(replace(run, artifact=replace(run.artifact, sha256="1" * 64)))
    assert not run.continues(replace(run, runner="benchmark_model"))


def test_names_of_files() -> None:
    assert partial_path(Path("a/b.json")) == Path("a/b.partial.json")
    assert safe_name("127.0.0.1:5555") == "127.0.0.1_5555"
