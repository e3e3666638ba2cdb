"""The native runner's session for ExecuTorch, on small programs, against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from linked_session import LinkedRunner
from native_rig import use_runners

from edgevit.arrays import Array
from edgevit.spec import TensorSpec
from export.recipe import Format
from runtimes.runners.array_sets import read_sets, write_sets
from runtimes.runners.contract import RunRequest
from runtimes.runners.schedule import scheduled
from runtimes.runners.workload import Workload

pytestmark = pytest.mark.filterwarnings("ignore")  # ExecuTorch's exporter warns of torch's plans at every turn


class Two(torch.nn.Module):
    """Two inputs and two outputs of several types; the scan takes memory while it runs."""

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.softmax(-1).cumsum(0).flip(1) + n.float(), (n * 2).to(torch.int64)


class Sorted(torch.nn.Module):
    """What the library has no kernel for."""

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.sort(-1)[0], n


class Scaled(torch.nn.Module):
    """A number among the inputs."""

    def forward(self, x: torch.Tensor, n: int) -> torch.Tensor:
        return x * n


class ChannelsLast(torch.nn.Module):
    """An output that does not lie in memory as its shape says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(memory_format=torch.channels_last) * 2


def saved(module: torch.nn.Module, path: Path, *inputs: object, most: int = 0) -> None:
    """``module`` as an ExecuTorch program; with ``most``, its first axes are free up to there."""
    from executorch.exir import to_edge_transform_and_lower

    free = tuple({0: torch.export.Dim("rows", min=1, max=most)} for _ in inputs) if most else None
    exported = torch.export.export(module, inputs, dynamic_shapes=free)
    path.write_bytes(to_edge_transform_and_lower(exported).to_executorch().buffer)


def feeds(rows: int) -> list[dict[str, Array]]:
    draw = np.random.default_rng(rows)
    return [
        {"x": draw.standard_normal((rows, 4), np.float32), "n": draw.integers(-9, 9, (rows, 4), np.int32)}
        for _ in range(3)
    ]


TAKES = (TensorSpec(name="x", shape=(-1, 4)), TensorSpec(name="n", shape=(-1, 4), dtype="int32"))
GIVES = (TensorSpec(name="a", shape=(-1, 4)), TensorSpec(name="b", shape=(-1, 4), dtype="int64"))
EXAMPLE = (torch.zeros(3, 4), torch.zeros(3, 4, dtype=torch.int32))


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LinkedRunner:
    write_sets(tmp_path / "in.npz", feeds(3))
    request = RunRequest(
        format=Format.PTE, model="model.pte", inputs="in.npz", lines="lines", outputs="out.npz", takes=TAKES,
        gives=GIVES, runtime="executorch 1.2.3", workload=scheduled(Workload(runs=3, warmup=1, threads=2)),
    )  # fmt: skip
    files = use_runners(monkeypatch, "x86_64-linux", Format.PTE)[Format.PTE]
    return LinkedRunner(files.program.main, files.library.directory, tmp_path, request)


def check_outputs(runner: LinkedRunner, fed: list[dict[str, Array]]) -> None:
    outputs = read_sets(runner.directory / "out.npz")
    assert len(outputs) == len(fed)
    for given, feed in zip(outputs, fed, strict=True):
        a, b = Two()(torch.from_numpy(feed["x"]), torch.from_numpy(feed["n"]))
        assert list(given) == ["a", "b"]
        assert given["a"].shape == tuple(a.shape) and given["b"].dtype == np.int64
        assert np.abs(given["a"] - a.numpy()).max() < 1e-5, "a few roundings of sums up to 12"
        assert np.array_equal(given["b"], b.numpy())


def test_every_golden_input_gives_what_torch_gives(runner: LinkedRunner) -> None:
    saved(Two(), runner.directory / "model.pte", *EXAMPLE)
    assert runner.measured().runtime == "executorch 1.2.3", "the library does not say it"
    check_outputs(runner, feeds(3))


@pytest.mark.parametrize("rows", [1, 5])
def test_free_axes_take_what_they_are_bounded_to(runner: LinkedRunner, rows: int) -> None:
    saved(Two(), runner.directory / "model.pte", *EXAMPLE, most=5)
    write_sets(runner.directory / "in.npz", feeds(rows))
    runner.measured()
    check_outputs(runner, feeds(rows))


def test_more_than_the_bound_is_refused_with_both_sizes(runner: LinkedRunner) -> None:
    saved(Two(), runner.directory / "model.pte", *EXAMPLE, most=5)
    write_sets(runner.directory / "in.npz", feeds(7))
    said = runner.refusal()
    assert "input 'x' of shape (7, 4)" in said
    assert "maximum capacity of 20 elements to 28 elements" in said


def test_fixed_axes_are_held(runner: LinkedRunner) -> None:
    saved(Two(), runner.directory / "model.pte", *EXAMPLE)
    write_sets(runner.directory / "in.npz", feeds(2))
    assert "(2, 4), the model takes float32 (3, 4)" in runner.refusal()


def test_a_kernel_that_the_library_lacks_is_named(runner: LinkedRunner) -> None:
    saved(Sorted(), runner.directory / "model.pte", *EXAMPLE)
    said = runner.refusal()
    assert "cannot load model.pte: OperatorMissing" in said and "aten::sort.values" in said


def test_a_number_among_the_inputs_is_refused(runner: LinkedRunner) -> None:
    saved(Scaled(), runner.directory / "model.pte", torch.zeros(3, 4), 2)
    assert "input 'n' is no tensor" in runner.refusal(gives=GIVES[:1])


def test_another_order_in_memory_is_refused(runner: LinkedRunner) -> None:
    saved(ChannelsLast(), runner.directory / "model.pte", torch.zeros(1, 3, 4, 4))
    said = runner.refusal(
        takes=(TensorSpec(name="x", shape=(1, 3, 4, 4)),), gives=(TensorSpec(name="a", shape=(1, 3, 4, 4)),)
    )
    assert "output 'a' has its axes in another order in memory" in said


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("cut", "File size is too small"),
        ("rubbish", "identifier"),
        ("short", "the file ends before"),
        ("empty", "it is empty"),
        ("missing", "No such file"),
    ],
)
def test_a_file_that_is_no_program_is_refused_in_words(runner: LinkedRunner, damage: str, words: str) -> None:
    saved(Two(), runner.directory / "model.pte", *EXAMPLE)
    whole = (runner.directory / "model.pte").read_bytes()
    contents = {"cut": whole[:-99], "rubbish": b"rubbish" * 999, "short": b"rubbish", "empty": b""}
    if damage in contents:
        (runner.directory / "bad.pte").write_bytes(contents[damage])
    said = runner.refusal(model="bad.pte")
    assert "bad.pte" in said and words in said
