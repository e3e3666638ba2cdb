"""The native runner's session for TorchScript lite, on small programs, against torch itself."""

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

TORCH = Path(torch.__file__).parent


class Two(torch.nn.Module):
    """Two inputs of two types, two outputs of two types, one of them laid out in another order than its shape."""

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (x * 2.0 + n.to(torch.float32)).transpose(0, 1), n + 1


class Product(torch.nn.Module):
    """A linear layer whose weights are rounded to int8."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.ao.nn.quantized.dynamic.Linear(8, 4)  # type: ignore[no-untyped-call]
        weight = torch.quantize_per_tensor(torch.linspace(-1, 1, 32).reshape(4, 8), 1 / 64, 0, torch.qint8)
        self.layer.set_weight_bias(weight, torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)  # type: ignore[no-any-return]


FEEDS: list[dict[str, Array]] = [
    {"x": np.full((3, 2), index + 0.5, np.float32), "n": np.arange(6, dtype=np.int64).reshape(3, 2)}
    for index in range(3)
]
TAKES = (TensorSpec(name="x", shape=(-1, 2)), TensorSpec(name="n", shape=(3, 2), dtype="int64"))
GIVES = (TensorSpec(name="a", shape=(2, -1)), TensorSpec(name="b", shape=(3, 2), dtype="int64"))


def saved(module: torch.nn.Module, path: Path) -> None:
    torch.jit.script(module.eval())._save_for_lite_interpreter(str(path))  # type: ignore[no-untyped-call]


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LinkedRunner:
    saved(Two(), tmp_path / "model.ptl")
    write_sets(tmp_path / "in.npz", FEEDS)
    request = RunRequest(
        format=Format.PTL, model="model.ptl", inputs="in.npz", lines="lines", outputs="out.npz", takes=TAKES,
        gives=GIVES, workload=scheduled(Workload(runs=3, warmup=1, threads=2)),
    )  # fmt: skip
    files = use_runners(monkeypatch, "x86_64-linux", Format.PTL)[Format.PTL]
    return LinkedRunner(files.program.main, files.library.directory, tmp_path, request)


def test_every_golden_input_gives_what_torch_gives(runner: LinkedRunner) -> None:
    assert runner.measured().runtime == f"torch {torch.__version__.partition('+')[0]} lite interpreter"
    outputs = read_sets(runner.directory / "out.npz")
    assert len(outputs) == len(FEEDS)
    for fed, given in zip(FEEDS, outputs, strict=True):
        assert list(given) == ["a", "b"]
        assert np.array_equal(given["a"], np.add(fed["x"] * 2, fed["n"]).T)
        assert given["b"].dtype == np.int64 and np.array_equal(given["b"], fed["n"] + 1)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:torch.ao.quantization is deprecated")
def test_int8_is_computed_by_the_engine_that_is_asked_for_and_named(runner: LinkedRunner) -> None:
    saved(Product(), runner.directory / "int8.ptl")
    feed = np.linspace(-1, 1, 16, dtype=np.float32).reshape(2, 8)
    write_sets(runner.directory / "one.npz", [{"x": feed}])
    takes, gives = (TensorSpec(name="x", shape=(2, 8)),), (TensorSpec(name="y", shape=(2, 4)),)
    ask = {"model": "int8.ptl", "inputs": "one.npz", "takes": takes, "gives": gives}
    seen = runner.measured({"EDGEVIT_PTL_ENGINE": "qnnpack"}, **ask)
    assert seen.runtime.endswith("lite interpreter, int8 by qnnpack")
    weight = np.clip(np.round(np.linspace(-1, 1, 32) * 64), -128, 127).reshape(4, 8) / 64
    worst = np.abs(np.subtract(read_sets(runner.directory / "out.npz")[0]["y"], feed @ weight.T)).max()
    assert worst < 8 * 2 / 255, "half a step of 2/255 at most for each of 8 inputs, weights up to 1; doubled"
    assert "has no engine 'abacus'" in runner.refusal({"EDGEVIT_PTL_ENGINE": "abacus"}, **ask)


@pytest.mark.parametrize("damage", ["cut", "rubbish", "missing"])
def test_a_file_that_is_no_program_is_refused_in_torchs_words(runner: LinkedRunner, damage: str) -> None:
    whole = (runner.directory / "model.ptl").read_bytes()
    if damage != "missing":
        content = whole[: len(whole) // 2] if damage == "cut" else b"rubbish" * 999
        (runner.directory / "bad.ptl").write_bytes(content)
    said = runner.refusal(model="bad.ptl")
    assert "cannot load bad.ptl" in said
    assert ("No such file" if damage == "missing" else "zip archive") in said
    assert "frame #" not in said, "torch's stack is no reason"


def test_outputs_of_another_number_are_refused(runner: LinkedRunner) -> None:
    assert "gave 2 outputs, but the request names 1" in runner.refusal(gives=GIVES[:1])


def test_inputs_that_the_program_cannot_take_are_refused_in_torchs_words(runner: LinkedRunner) -> None:
    write_sets(runner.directory / "odd.npz", [{"x": np.ones((7, 2), np.float32), "n": FEEDS[0]["n"]}])
    said = runner.refusal(inputs="odd.npz")
    assert "cannot run model.ptl: The size of tensor a (7) must match the size of tensor b (3)" in said
