"""The first layer where outputs part: single weights are corrupted in real files, and the module must be named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_sessions import FunctionSession, golden_set
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_artifacts import SmallNet, corrupt_weight, small_golden, small_net, write_artifact
from torch import nn

from edgevit.errors import ArtifactError
from edgevit.spec import Layout, TensorSpec
from export.artifact import Manifest
from export.fingerprint import PREFIX, TraceFingerprint, fingerprint, marginals, statistics
from export.recipe import Format
from runtimes.sessions.session import Session
from runtimes.sessions.table import open_session
from validation.artifact.divergence import Divergence, find_divergence, first_parting, informative
from validation.artifact.parity import compare

MODULES = [
    ("blocks.0.project.bias", "blocks.0.project"),
    ("blocks.1.expand.bias", "blocks.1.expand"),
    ("blocks.2.project.bias", "blocks.2.project"),
    ("head.bias", "head"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("artifacts")
    for format in (Format.ONNX, Format.TFLITE):
        write_artifact(directory / format, format)
    write_artifact(directory / "nhwc", Format.TFLITE, layout=Layout.NHWC, batch=2)
    return directory


def opened(directory: Path, tmp_path: Path, format: Format, weight: str | None, change: float = 0.5) -> Session:
    source = next(path for path in directory.iterdir() if path.suffix == f".{format}")
    path = tmp_path / source.name
    shutil.copy(source, path)
    if weight is not None:
        corrupt_weight(path, small_net().state_dict()[weight].numpy(), 3, change)
    return open_session(path, format)


def located(session: Session, inputs: tuple[TensorSpec, ...] | None = None) -> Divergence:
    golden = small_golden(small_net())
    report = compare(session, golden, inputs=inputs)
    assert not report.passed
    found = find_divergence(session, golden, report, inputs=inputs)
    assert found is not None
    return found


@pytest.mark.parametrize(("weight", "module"), MODULES)
@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE])
def test_a_corrupted_weight_is_placed_in_its_module(
    directory: Path, tmp_path: Path, format: Format, weight: str, module: str
) -> None:
    found = located(opened(directory / format, tmp_path, format, weight))
    assert found.module == module
    assert found.tensor is not None
    assert found.operator is not None
    assert found.last_module is not None
    assert found.agreeing >= 1
    assert module in found.describe()


def test_a_small_corruption_is_placed_too(directory: Path, tmp_path: Path) -> None:
    session = opened(directory / "onnx", tmp_path, Format.ONNX, "blocks.1.project.bias", 1e-3)
    assert located(session).module == "blocks.1.project"


def test_nhwc_and_batch_two(directory: Path, tmp_path: Path) -> None:
    session = opened(directory / "nhwc", tmp_path, Format.TFLITE, "blocks.1.expand.bias")
    manifest = Manifest.load(next((directory / "nhwc").glob("*.json")))
    assert located(session, manifest.inputs).module == "blocks.1.expand"


@pytest.mark.parametrize("format", [Format.ONNX, Format.TFLITE])
def test_a_sound_artifact_agrees_to_the_end(directory: Path, tmp_path: Path, format: Format) -> None:
    session = opened(directory / format, tmp_path, format, None)
    golden = small_golden(small_net())
    found = find_divergence(session, golden, compare(session, golden))
    assert found is not None
    assert found.tensor is None
    assert found.last_module in ("head", "(output)")


def test_a_nan_is_placed_without_fingerprints(directory: Path, tmp_path: Path) -> None:
    import dataclasses

    session = opened(directory / "onnx", tmp_path, Format.ONNX, "blocks.1.expand.bias", float("nan"))
    golden = dataclasses.replace(small_golden(small_net()), fingerprint=None)
    found = find_divergence(session, golden, compare(session, golden))
    assert found is not None
    assert found.tensor is not None
    assert "blocks/1/expand" in found.tensor
    assert "not finite" in found.describe()


def test_without_fingerprints_or_tracing_it_says_so(directory: Path, tmp_path: Path) -> None:
    import dataclasses

    session = opened(directory / "onnx", tmp_path, Format.ONNX, "head.bias")
    golden = dataclasses.replace(small_golden(small_net()), fingerprint=None)
    found = find_divergence(session, golden, compare(session, golden))
    assert found is not None
    assert "no fingerprints" in found.describe()
    x = np.zeros((1, 1), np.float32)
    fake = FunctionSession({"x": (1, 1)}, ("y",), lambda feed: {"y": feed["x"] + 1})
    golden = golden_set({"x": x}, {"y": x})
    assert find_divergence(fake, golden, compare(fake, golden)) is None


def test_manifest_of_the_written_artifact_is_complete(directory: Path) -> None:
    manifest = Manifest.load(next((directory / "onnx").glob("*.json")))
    assert manifest.audit.passed
    assert manifest.operators


arrays = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-9, 9))


@given(arrays, st.data())
def test_statistics_forget_axis_order_and_repetition(array: np.ndarray, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(array.ndim)))
    repeats = data.draw(st.integers(1, 3))
    moved = np.repeat(array.transpose(order)[None], repeats, axis=0)
    np.testing.assert_allclose(statistics(moved), statistics(array), atol=1e-9)


@given(arrays, st.floats(0, 1e-2), st.integers(0, 99))
def test_statistics_and_marginals_move_no_more_than_the_elements(array: np.ndarray, size: float, seed: int) -> None:
    moved = array + np.random.default_rng(seed).uniform(-size, size, array.shape)
    assert np.abs(statistics(moved) - statistics(array)).max() <= size + 1e-9
    assert np.abs(marginals(moved, 1) - marginals(array, 1)).max() <= size + 1e-9


def prints_of(model: nn.Module) -> TraceFingerprint:
    return fingerprint(model, [np.random.default_rng(7).normal(size=(3, 3, 16, 16)).astype(np.float32)], [0, 2])


def test_fingerprints_cover_leaves_and_blocks_once_and_survive_storage(tmp_path: Path) -> None:
    prints = prints_of(small_net())
    modules = list(prints.modules)
    assert modules[0] == "stem"
    assert {"blocks.1", "blocks.1.norm", "blocks.2.act", "head"} <= set(modules)
    assert "blocks" not in modules, "equal to blocks.2"
    assert prints.channels[modules.index("blocks.1.expand")] == 24
    np.savez(tmp_path / "prints.npz", **prints.to_arrays())
    with np.load(tmp_path / "prints.npz", allow_pickle=False) as stored:
        again = TraceFingerprint.from_arrays(stored)
    assert again is not None
    for name, array in prints.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], array)


def test_damaged_fingerprints_are_refused() -> None:
    arrays = prints_of(small_net()).to_arrays()
    assert TraceFingerprint.from_arrays({}) is None
    with pytest.raises(ArtifactError, match="fingerprint_noise"):
        TraceFingerprint.from_arrays({key: value for key, value in arrays.items() if key != PREFIX + "noise"})
    with pytest.raises(ArtifactError, match="fingerprint_counts"):
        TraceFingerprint.from_arrays({**arrays, PREFIX + "counts": arrays[PREFIX + "counts"][1:]})


def test_the_model_is_left_as_it_was() -> None:
    model = small_net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    prints_of(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


class Twice(nn.Module):
    """Calls one module twice and hands out a tuple from another."""

    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x * 2, x * 3

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 1)
        self.pair = self.Pair()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        a, b = self.pair(self.shared(self.shared(image)))
        return a + b


def test_repeated_calls_and_tuples_have_names() -> None:
    torch.manual_seed(0)
    modules = list(prints_of(Twice().eval()).modules)
    assert modules == ["shared", "shared#2", "pair", "pair[1]", "(output)"]


def test_flat_inputs_are_no_evidence() -> None:
    class Flat(SmallNet):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return super().forward(image) * 0.0

    prints = prints_of(Flat().eval())
    usable = [str(prints.modules[module]) for module in informative(prints, 0)]
    assert "(output)" not in usable
    zeros = {"a": np.zeros((1, 12, 8, 8), np.float32), "b": np.zeros((1, 7), np.float32)}
    found = first_parting(zeros, prints, 0, 1, "flat")
    assert (found.agreeing, found.tensor, found.last_module) == (0, "a", None)
    assert "at the very start" in found.describe()
