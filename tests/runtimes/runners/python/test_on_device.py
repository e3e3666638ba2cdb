"""What runs on the device: stamps, gaps, pulses, arrays, and the file of lines."""

from __future__ import annotations

import gc
import hashlib
import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.errors import DeviceError
from export.recipe import Format
from runtimes.runners import contract
from runtimes.runners.contract import RunRequest
from runtimes.runners.lines import parse_lines
from runtimes.runners.python import on_device
from runtimes.runners.python.on_device import LineWriter, do_steps, main
from runtimes.runners.schedule import scheduled
from runtimes.runners.workload import Workload


def steps(*each: tuple[float, int, float]) -> list[dict[str, Any]]:
    return [{"gap_ms": gap_ms, "count": count, "wait_ms": wait_ms} for gap_ms, count, wait_ms in each]


def test_each_step_is_done_in_its_order_after_its_gap() -> None:
    """What the model was seen to do, by a clock of its own, is what the stamps tell; in a control it does nothing."""
    seen: list[int] = []
    runs, controls = do_steps(
        lambda: seen.append(time.monotonic_ns()), steps((5.0, 3, 0.0), (20.0, 0, 30.0), (10.0, 1, 0.0), (3.0, 2, 0.0))
    )
    assert len(runs) == len(seen) == 6 and len(controls) == 1
    assert all(start <= at <= end for (start, end, *_), at in zip(runs, seen, strict=True))
    (control,) = controls
    assert runs[2][1] + 20e6 <= control[0] and control[1] - control[0] >= 30e6 and control[1] + 10e6 <= runs[3][0]
    assert runs[4][0] - runs[3][1] >= 3e6
    within = [later[0] - earlier[1] for earlier, later in ((runs[0], runs[1]), (runs[1], runs[2]), (runs[4], runs[5]))]
    assert min(within) < 1e6, "no rest within a burst"


@pytest.mark.realtime
def test_gaps_are_as_long_as_they_are_asked_for() -> None:
    """Counted from the end of what was before, whatever is done in between; the machine may be late now and then."""
    asked = [2.0, 11.0, 5.0, 17.0, 3.0, 8.0] * 5
    runs, _ = do_steps(lambda: None, steps(*((gap_ms, 1, 0.0) for gap_ms in asked)))
    kept = [(later[0] - earlier[1]) / 1e6 for earlier, later in pairwise(runs)]
    late = np.array(kept) - asked[1:]
    assert late.min() >= 0
    assert np.median(late) < 0.5


def test_the_garbage_collector_rests_while_runs_are_timed() -> None:
    seen: list[bool] = []
    do_steps(lambda: seen.append(gc.isenabled()), steps((0.0, 2, 0.0)))
    assert seen == [False, False] and gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        do_steps(lambda: 1 / 0, steps((0.0, 2, 0.0)))
    assert gc.isenabled(), "also after an error"


def test_stamps_of_both_clocks_enclose_the_run() -> None:
    ((stamp,), _) = do_steps(lambda: time.sleep(0.01), steps((0.0, 1, 0.0)))
    start, end, boot_start, boot_end = stamp
    assert 10_000_000 <= end - start <= boot_end - boot_start


def test_lines_appear_only_when_they_are_whole(tmp_path: Path) -> None:
    lines = LineWriter(tmp_path / "lines")
    with lines.phase("load"):
        assert lines.stage == "load"
    assert list(tmp_path.iterdir()) == []
    lines.end(3)
    assert [path.name for path in tmp_path.iterdir()] == ["lines"]
    *rest, end = (tmp_path / "lines").read_bytes().splitlines(keepends=True)
    told = json.loads(end)
    assert (told["line"], told["samples"], told["lines"]) == ("end", 3, 1)
    assert told["sha256"] == hashlib.sha256(b"".join(rest)).hexdigest()


def test_pulses_keep_the_device_busy_for_their_time(tmp_path: Path) -> None:
    lines = LineWriter(tmp_path / "lines")
    on_device._pulses({"busy_ms": [30, 10], "idle_ms": 5}, "before", lines)
    lines.write()
    told = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    took = [(each["end_monotonic_ns"] - each["start_monotonic_ns"]) / 1e6 for each in told]
    assert [each["index"] for each in told] == [0, 1]
    assert took[0] >= 30.0 and took[1] >= 10.0
    assert told[1]["start_monotonic_ns"] - told[0]["end_monotonic_ns"] >= 5_000_000


PEAK = """
import sys
from runtimes.runners.python.on_device import peak_memory_bytes
own = bytearray(int(sys.argv[1]))
own[::4096] = b"x" * len(own[::4096])
del own
print(peak_memory_bytes())
"""


def test_the_peak_is_the_programs_own_and_not_that_of_the_process_which_started_it() -> None:
    own_bytes, parents_bytes = 200_000_000, 500_000_000
    fat = bytearray(parents_bytes)
    fat[::4096] = b"x" * len(fat[::4096])  # touched, so that it is resident
    small, large = (
        int(subprocess.run([sys.executable, "-c", PEAK, str(size)], capture_output=True, check=True).stdout)
        for size in (0, own_bytes)
    )
    assert len(fat) == parents_bytes
    assert small < 100_000_000, "an interpreter takes some 10 MB"
    assert 0.95 * own_bytes < large - small < 1.05 * own_bytes, "what was freed again counts"


def test_without_a_status_file_the_kernels_figure_of_the_process_is_taken(tmp_path: Path) -> None:
    own = on_device.peak_memory_bytes()
    assert on_device.peak_memory_bytes(tmp_path / "status") >= own > 10_000_000


def test_masks_are_sets_of_cores() -> None:
    assert on_device._cpus("f0") == {4, 5, 6, 7}
    assert on_device._cpus("1") == {0}


@pytest.mark.parametrize(
    ("change", "stage"),
    [({"affinity": f"{1 << 1023:x}"}, "pin"), ({}, "open the model")],
)
def test_a_failure_is_told_with_its_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], stage: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(b"rubbish")
    request = RunRequest(
        format=Format.ONNX, model="m.onnx", inputs="i", lines="l", workload=scheduled(Workload(**change))
    )  # type: ignore[arg-type]
    request.save(tmp_path / "request.json")
    assert main(["request.json"]) == 1
    (line,) = (tmp_path / "l").read_text().splitlines()
    told = json.loads(line)
    assert (told["line"], told["stage"]) == ("error", stage)
    with pytest.raises(DeviceError, match=f"failed while it tried to {stage}"):
        parse_lines((tmp_path / "l").read_bytes(), request, origin="here")


def test_both_sides_speak_one_version_of_the_contract() -> None:
    """The device's side imports nothing of the other, so the number stands in both."""
    assert on_device.CONTRACT_VERSION == contract.CONTRACT_VERSION
