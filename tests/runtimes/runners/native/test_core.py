"""The core of the native runner: its own tests under sanitizers, fuzzed, and as a whole with a session that echoes.

What it leaves is read by what reads the Python runner's lines, and its archives by numpy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgevit.arrays import parse_arrays
from edgevit.errors import DeviceError
from edgevit.records import sha256_file
from edgevit.spec import TensorSpec
from export.recipe import Format
from runtimes.runners.array_sets import read_sets, write_sets
from runtimes.runners.contract import RunRequest
from runtimes.runners.lines import parse_lines
from runtimes.runners.native.build import SOURCE
from runtimes.runners.runner import Measured
from runtimes.runners.schedule import scheduled
from runtimes.runners.workload import Step, SyncPulses, Workload

HERE = Path(__file__).parent / "core"
FUZZED_S = 10  # chosen for every run of the tests; ten minutes of both are measured in docs/benchmarking.md
DTYPES = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the test programs, with sanitizers."""
    missing = [name for name in ("cmake", "clang++", "ninja") if shutil.which(name) is None]
    if missing or not Path("/usr/include/doctest/doctest.h").is_file():
        pytest.skip(
            f"needs {', '.join(missing) or 'doctest-dev'} (apt-get install cmake ninja-build clang doctest-dev)"
        )
    folder = tmp_path_factory.mktemp("core")
    configure = ["cmake", "-G", "Ninja", "-S", HERE, "-B", folder, f"-DEDGEVIT_SOURCE={SOURCE}"]
    for command in (configure, ["cmake", "--build", folder]):
        done = subprocess.run(
            command, env={**os.environ, "CXX": "clang++"}, capture_output=True, text=True, errors="replace", check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def test_the_cores_own_tests_pass_under_sanitizers(built: Path) -> None:
    done = subprocess.run([built / "core_tests"], capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout


FEEDS = [
    {"x": np.full((1, 4), index, np.float32), "y": np.arange(6, dtype=np.int8).reshape(2, 3)} for index in range(3)
]
TAKES = (TensorSpec(name="y", shape=(2, 3), dtype="int8"), TensorSpec(name="x", shape=(-1, 4)))
OTHER = TensorSpec(name="x", shape=(-1, 5))
GIVES = (TensorSpec(name="yy", shape=(2, 3), dtype="int8"), TensorSpec(name="x/x", shape=(1, 4)))


def request_of(**change: object) -> RunRequest:
    work = scheduled(Workload(runs=4, warmup=2, gap_ms=5.0, burst=2))
    request = RunRequest(
        format=Format.ONNX, model="a $b 'c.onnx", inputs="in put.npz", lines="li$nes", outputs="out put.npz",
        takes=TAKES, gives=GIVES, workload=work,
    )  # fmt: skip
    return msgspec.structs.replace(request, **change)


Runs = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(built: Path, tmp_path: Path) -> Runs:
    """Run the echo runner on a request, or on any text in its place, in ``tmp_path``."""
    write_sets(tmp_path / "in put.npz", FEEDS)

    def run(request: RunRequest | str) -> subprocess.CompletedProcess[str]:
        text = request if isinstance(request, str) else request.to_json()
        (tmp_path / "re quest.json").write_text(text, encoding="utf-8")
        return subprocess.run(
            [built / "echo_runner", "re quest.json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    return run


def measured(directory: Path, request: RunRequest) -> Measured:
    return parse_lines((directory / request.lines).read_bytes(), request, origin="here")


def test_a_run_leaves_what_the_contract_asks_for(run: Runs, tmp_path: Path) -> None:
    """Names with spaces, quotes and ``$``; a schedule with gaps; latencies, clocks, memory, hashes."""
    request = request_of()
    assert run(request).returncode == 0
    seen = measured(tmp_path, request)
    assert (seen.runner, seen.runtime) == ("native 1", "echo 1")
    assert len(seen.samples) == 4 and len(seen.warmup) == 2
    assert all(2e6 <= sample.latency_ns < 1e9 for sample in seen.samples), "it sleeps for 2 ms"
    assert {phase.name for phase in seen.phases} == {"load", "lead_in", "warmup", "runs", "golden", "lead_out"}
    assert seen.clocks is not None and seen.clocks.boottime_ns >= seen.clocks.monotonic_ns > 0
    assert seen.cpus == tuple(sorted(os.sched_getaffinity(0)))
    assert (seen.peak_memory_bytes or 0) > 1_000_000
    assert seen.outputs_sha256 == sha256_file(tmp_path / "out put.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in put.npz", "li$nes", "out put.npz", "re quest.json"]


def test_the_outputs_are_those_of_every_golden_input(run: Runs, tmp_path: Path) -> None:
    assert run(request_of()).returncode == 0
    outputs = read_sets(tmp_path / "out put.npz")
    assert len(outputs) == len(FEEDS)
    for fed, given in zip(FEEDS, outputs, strict=True):
        assert list(given) == ["yy", "x/x"], "in the order of the model"
        assert np.array_equal(given["yy"], fed["y"] + 1)
        assert (given["x/x"].view(np.uint8) == fed["x"].view(np.uint8) + 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0, 5), (1, 2, 3, 4)])
def test_arrays_of_every_type_pass_through_both_readers(
    run: Runs, tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    values = np.frombuffer(np.random.default_rng(0).bytes(1024), np.uint8)[
        : int(np.prod(shape)) * np.dtype(dtype).itemsize
    ]
    array = (values % 2 if dtype == "bool" else values).view(dtype).reshape(shape)
    write_sets(tmp_path / "in put.npz", [{"x": array}])
    one = (TensorSpec(name="x", shape=shape, dtype=dtype),)
    assert run(request_of(takes=one, gives=one)).returncode == 0
    given = dict(np.load(tmp_path / "out put.npz"))["0/x"]
    assert (given.dtype, given.shape) == (np.dtype(dtype), shape)
    assert given.tobytes() == bytes((byte + 1) % 256 for byte in array.tobytes())
    if dtype != "bool":  # of which 2 is none
        ours = parse_arrays((tmp_path / "out put.npz").read_bytes(), origin="it")["0/x"]
        assert ours.tobytes() == given.tobytes()


def test_pulses_idle_and_controls_stand_where_they_are_asked_for(run: Runs, tmp_path: Path) -> None:
    steps = (Step(gap_ms=3, count=1), Step(gap_ms=4, count=0, wait_ms=6.5), Step(gap_ms=2, count=3))
    work = Workload(runs=4, warmup=0, schedule=steps, idle_s=0.05, pulses=SyncPulses(busy_ms=(20, 10), idle_ms=5))
    request = request_of(workload=work)
    assert run(request).returncode == 0
    seen = measured(tmp_path, request)
    assert [(pulse.place, pulse.index) for pulse in seen.pulses] == [
        ("before", 0),
        ("before", 1),
        ("after", 0),
        ("after", 1),
    ]
    assert all(20e6 <= p.end_monotonic_ns - p.start_monotonic_ns < 200e6 for p in seen.pulses[::2])
    lead_in = next(phase for phase in seen.phases if phase.name == "lead_in")
    assert lead_in.end_monotonic_ns - lead_in.start_monotonic_ns >= 50e6 + 45e6
    (control,) = seen.controls
    assert control.end_monotonic_ns - control.start_monotonic_ns >= 6.5e6


def test_affinity_is_the_kernels_own_answer(run: Runs, tmp_path: Path) -> None:
    last = max(os.sched_getaffinity(0))
    request = request_of(workload=scheduled(Workload(runs=1, warmup=0, affinity=f"{1 << last:x}")))
    assert run(request).returncode == 0
    assert measured(tmp_path, request).cpus == (last,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "refused"}, 'open the model: the runtime says "no"'),
        ({"model": "fails"}, "warmup: it fell over"),
        ({"inputs": "none"}, "read the inputs: cannot read 'none': No such file"),
        ({"inputs": "re quest.json"}, "read the inputs: 're quest.json' is no archive of arrays"),
        ({"outputs": "no/where"}, "write the outputs: cannot write 'no/where.part': No such file"),
        ({"takes": (*TAKES, TensorSpec(name="z", shape=(1,)))}, "input 0 of 'in put.npz' lacks 'z'; the model takes"),
        ({"takes": (TAKES[0], OTHER)}, "'x' is float32 (1, 4), the model takes float32 (?, 5)"),
        ({"takes": (TAKES[1],)}, "has arrays beside 'x'"),
        ({"workload": scheduled(Workload(runs=1, affinity=f"{1 << 1000:x}"))}, "pin: the kernel does not bind"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_in_the_last_line(
    run: Runs, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    request = request_of(**change)
    done = run(request)
    assert done.returncode == 1
    last = json.loads((tmp_path / request.lines).read_bytes().splitlines()[-1])
    assert last["line"] == "error" and words in f"{last['stage']}: {last['error']}"
    with pytest.raises(DeviceError, match="the runner failed while it tried to"):
        measured(tmp_path, request)
    assert not (tmp_path / "out put.npz").exists() and words.partition(": ")[2][:20] in done.stderr


def changed(field: str, value: object) -> str:
    """The request's JSON with another value in ``field`` of it, or of its first step."""
    told = json.loads(request_of().to_json())
    (told["workload"]["schedule"][0] if field == "count" else told)[field] = value
    return json.dumps(told)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (changed("schema_version", 5), "a request of version 5, this runner takes 4"),
        ('{"lines": "li$nes"}', "the request lacks 'schema_version'"),
        (changed("count", 3), "4 forward passes with a schedule of 5"),
        (changed("colour", "red"), "unknown field 'colour'"),
    ],
)
def test_a_request_that_is_none_is_told_in_the_last_line_and_nothing_runs(
    run: Runs, tmp_path: Path, text: str, words: str
) -> None:
    assert run(text).returncode == 1
    (line,) = (tmp_path / "li$nes").read_text().splitlines()
    assert words in json.loads(line)["error"]
    assert not (tmp_path / "out put.npz").exists()


def test_a_request_without_a_file_for_the_reason_is_told_on_standard_error(run: Runs, built: Path) -> None:
    assert "no JSON: expected a value at byte 0" in run("").stderr
    assert (
        "usage:"
        in subprocess.run([built / "echo_runner"], capture_output=True, text=True, errors="replace", check=False).stderr
    )
    told = subprocess.run([built / "echo_runner", "--version"], capture_output=True, text=True, check=True).stdout
    assert json.loads(told) == {"runner": "native 1", "contract": 3, "request": 4}


@pytest.mark.parametrize("cut", [0, 1, 21, 22, 200, -23, -1])
def test_inputs_that_are_cut_are_refused(run: Runs, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "in put.npz"
    path.write_bytes(path.read_bytes()[:cut])
    assert run(request_of()).returncode == 1
    assert "is no archive of arrays" in json.loads((tmp_path / "li$nes").read_bytes().splitlines()[-1])["error"]


@pytest.mark.parametrize("form", ["packed", "big-endian", "Fortran order", "another key"])
def test_arrays_in_another_form_than_the_hosts_are_refused(run: Runs, tmp_path: Path, form: str) -> None:
    plain = np.arange(6, dtype=np.float32).reshape(2, 3)
    array = {"big-endian": plain.astype(">f4"), "Fortran order": np.asfortranarray(plain)}.get(form, plain)
    save = np.savez_compressed if form == "packed" else np.savez
    with (tmp_path / "in put.npz").open("wb") as file:
        save(file, **{"x" if form == "another key" else "0/x": array})
    one = (TensorSpec(name="x", shape=(2, 3)),)
    assert run(request_of(takes=one, gives=one)).returncode == 1
    assert "is no archive of arrays" in json.loads((tmp_path / "li$nes").read_bytes().splitlines()[-1])["error"]


def test_a_full_disk_is_told_and_leaves_no_half_file(run: Runs, tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    done = run(request_of(outputs="full/x"))
    assert done.returncode == 1 and "cannot write" in done.stderr


@pytest.mark.parametrize("target", ["fuzz_request", "fuzz_npz"])
def test_any_bytes_are_refused_in_words_or_read(built: Path, tmp_path: Path, target: str) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    if target == "fuzz_request":
        (corpus / "whole").write_text(request_of().to_json())
    else:
        write_sets(corpus / "whole", FEEDS)
    command = [built / target, f"-max_total_time={FUZZED_S}", "-max_len=4096", "-print_final_stats=1", corpus]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "stat::number_of_executed_units" in done.stderr
