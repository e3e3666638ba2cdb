"""Names on the device, where artifacts of one name must not meet, and figures that no process has."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from bench_rig import onnx_subject

from edgevit.errors import ArtifactError
from edgevit.records import sha256_file
from runtimes.runners.runner import Measured, RunSample, Summary


def test_files_on_the_device_are_named_by_what_is_in_them(tmp_path: Path) -> None:
    one = onnx_subject(tmp_path / "one" / "same name.onnx")
    other = onnx_subject(tmp_path / "other" / "same name.onnx", scale=2.0)
    assert one.name == other.name
    assert one.remote_name != other.remote_name
    assert one.remote_name == f"{sha256_file(one.path)[:16]}.onnx"


def sample(start_ns: int, latency_ns: int = 5, **changed: int) -> RunSample:
    stamps = {"start_monotonic_ns": start_ns, "end_monotonic_ns": start_ns + latency_ns}
    boot = {"start_boottime_ns": start_ns, "end_boottime_ns": start_ns + latency_ns}
    return RunSample(**{"latency_ns": latency_ns, **stamps, **boot, **changed})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"latency_ns": 0}, "latency_ns is 0, expected 1 to"),
        ({"latency_ns": -5}, "latency_ns is -5"),
        ({"latency_ns": 10**18}, "latency_ns is 1000000000000000000"),
        ({"end_monotonic_ns": 106}, "latency_ns is 5, but the stamps are 6 ns apart"),
        ({"start_monotonic_ns": 106}, "time runs backwards, from 106 to 105 ns"),
        ({"end_boottime_ns": 99}, "time runs backwards, from 100 to 99 ns"),
        ({"end_monotonic_ns": 10**400}, "end_ns is 1000"),
    ],
)
def test_a_pass_that_cannot_have_been_is_refused(changed: dict[str, int], words: str) -> None:
    assert sample(100).latency_ns == 5
    with pytest.raises(ArtifactError, match=words):
        sample(100, **changed)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"mean_ns": 0.0}, "mean_ns is 0"),
        ({"mean_ns": 9e21}, r"mean_ns is 9e\+21"),
        ({"mean_ns": -1.0}, "mean_ns is -1"),
        ({"min_ns": 0.0}, "min_ns is 0"),
        ({"sd_ns": -1.0}, "sd_ns is -1"),
        ({"count": 0}, "count is 0"),
        ({"count": 10**12}, "count is 1000000000000"),
        ({"mean_ns": 70.0}, "mean_ns is 70.0, expected 89.1 to 121.2"),
        ({"median_ns": 300.0}, "median_ns is 300.0"),
        ({"p95_ns": math.inf}, "p95_ns is inf"),
        ({"max_ns": math.nan}, "max_ns is nan"),
    ],
)
def test_a_summary_that_cannot_be_is_refused(changed: dict[str, float], words: str) -> None:
    whole = {"count": 5, "mean_ns": 100.0, "min_ns": 90.0, "max_ns": 120.0, "sd_ns": 0.0, "median_ns": 120.9}
    assert Summary(**whole).count == 5  # type: ignore[arg-type]  # of both kinds
    with pytest.raises(ArtifactError, match=words):
        Summary(**{**whole, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"samples": (sample(100), sample(104))}, "time runs backwards, from 105 to 104 ns"),
        ({"warmup": (sample(100), sample(50))}, "time runs backwards, from 105 to 50 ns"),
        ({"load_ns": -1}, "load_ns is -1"),
        ({"first_ns": 10**15}, "first_ns is 1000000000000000"),
        ({"peak_memory_bytes": 2**60}, "peak_memory_bytes is"),
    ],
)
def test_a_process_that_cannot_have_been_is_refused(changed: dict[str, object], words: str) -> None:
    whole = {"runner": "r", "runtime": "r", "samples": (sample(100), sample(105)), "warmup": (sample(1), sample(9))}
    assert Measured(**whole).stamped  # type: ignore[arg-type]  # of several kinds
    with pytest.raises(ArtifactError, match=words):
        Measured(**{**whole, **changed})  # type: ignore[arg-type]


def test_a_record_names_the_field() -> None:
    text = Measured(runner="r", runtime="r", samples=(sample(1), sample(9))).to_json()
    assert Measured.from_json(text).samples[1].latency_ns == 5
    with pytest.raises(ArtifactError, match=r"x\.json is not a valid Measured record: latency_ns is 0, .*samples\[0\]"):
        Measured.from_json(text.replace('"latency_ns": 5', '"latency_ns": 0', 1), origin="x.json")
