"""Plans: every push once, every run in its place, and refusals that stay with what they belong to."""

from __future__ import annotations

from pathlib import Path

from bench_rig import onnx_subject, program, subject

from export.recipe import Format
from runtimes.bench.plan import Job, interleave, make_plan, split_runs
from runtimes.runners.python.launch import PythonRunner
from runtimes.runners.runner import Runner
from runtimes.runners.tools import TOOLS
from runtimes.runners.tools.launch import ToolRunner
from runtimes.runners.workload import Workload


def jobs_of(tmp_path: Path, **workload: object) -> list[Job]:
    made = Workload(**{"runs": 5, "rounds": 2, "warmup": 1, **workload})  # type: ignore[arg-type]
    python: Runner = PythonRunner("python3")
    one, two = onnx_subject(tmp_path / "one.onnx"), onnx_subject(tmp_path / "two.onnx", scale=2.0)
    return [Job(one, python, made), Job(two, python, made)]


def test_rounds_take_turns_and_shared_files_travel_once(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path)
    plan, refused = make_plan("host", "/there", jobs, tmp_path)
    assert refused == {}
    names = [(run.round, run.key.partition(".")[0], run.workload.runs) for run in plan.runs]
    assert names == [(0, "one", 3), (0, "two", 3), (1, "two", 2), (1, "one", 2)]
    remotes = [push.remote for push in plan.pushes]
    assert len(remotes) == len(set(remotes))
    (runner,) = (push for push in plan.pushes if push.remote.endswith(".pyz"))
    assert runner.keys == (jobs[0].key, jobs[1].key)


def test_rounds_that_are_done_are_left_out(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path)
    plan, _ = make_plan("host", "/there", jobs, tmp_path, {jobs[0].key: 1, jobs[1].key: 2})
    assert [(run.round, run.key) for run in plan.runs] == [(1, jobs[0].key)]


def test_a_runner_that_refuses_one_combination_leaves_the_others(tmp_path: Path) -> None:
    """``speed_benchmark_torch`` takes its threads from the mask: one thread under a mask of two cores cannot be."""
    (tmp_path / "m.ptl").write_bytes(b"not read here")
    ptl = subject(tmp_path / "m.ptl", Format.PTL)
    tool: Runner = ToolRunner(TOOLS[Format.PTL], program(tmp_path / "tool", "exit 0"), android=False)
    jobs = [Job(ptl, tool, Workload(threads=threads, affinity="c")) for threads in (2, 1)]
    jobs += jobs_of(tmp_path, affinity="c", threads=2)
    plan, refused = make_plan("host", "/there", jobs, tmp_path)
    assert set(refused) == {jobs[1].key}
    assert "exactly 1 core" in refused[jobs[1].key].message
    assert {run.key for run in plan.runs} == {job.key for job in jobs} - set(refused)
    assert all(jobs[1].key not in push.keys for push in plan.pushes)


def test_more_threads_than_cores_are_refused_whatever_runs_them(tmp_path: Path) -> None:
    jobs = [*jobs_of(tmp_path, affinity="4", threads=2), *jobs_of(tmp_path, affinity="4", threads=1)]
    plan, refused = make_plan("host", "/there", jobs, tmp_path)
    assert set(refused) == {jobs[0].key, jobs[1].key}
    assert refused[jobs[0].key].message.startswith("one.onnx: 2 threads on 1 core (mask 4)")
    assert {run.key for run in plan.runs} == {jobs[2].key, jobs[3].key}


def test_what_only_a_meter_asks_for_is_not_in_the_rounds(tmp_path: Path) -> None:
    (job, _) = jobs_of(tmp_path, burst=7)
    assert {each.burst for each in job.rounds} == {None}


def test_records_of_other_cores_and_gaps_have_other_names(tmp_path: Path) -> None:
    given = (
        {},
        {"affinity": "f0"},
        {"gap_ms": 5.0},
        {"threads": 2},
        {"runs": 7},
        {"rounds": 3},
        {"warmup": 0},
        {"burst": 2},
    )
    keys = {jobs_of(tmp_path, **each)[0].key for each in given}
    assert len(keys) == len(given)
    assert jobs_of(tmp_path, gap_ms=0.0)[0].key == jobs_of(tmp_path)[0].key


def test_splitting_and_interleaving() -> None:
    assert split_runs(50, 5) == [10] * 5
    assert split_runs(5, 2) == [3, 2]
    assert split_runs(2, 5) == [1, 1]
    assert interleave(["a", "b", "c"], 2) == [(0, "a"), (0, "b"), (0, "c"), (1, "b"), (1, "c"), (1, "a")]
