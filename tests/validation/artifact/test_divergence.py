"""The first layer where outputs part: single weights are corrupted in real files, and the module must be named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_sessions import FunctionSession, golden_set
from small_artifacts import SmallNet, corrupt_weight, small_golden, small_net, write_artifact

from edgevit.spec import Layout, TensorSpec
from export.artifact import Manifest
from export.fingerprint import fingerprint
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


def test_flat_inputs_are_no_evidence() -> None:
    class Flat(SmallNet):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return super().forward(image) * 0.0

    images = np.random.default_rng(7).normal(size=(3, 3, 16, 16)).astype(np.float32)
    prints = fingerprint(Flat().eval(), [images], [0, 2])
    usable = [str(prints.modules[module]) for module in informative(prints, 0)]
    assert "(output)" not in usable
    zeros = {"a": np.zeros((1, 12, 8, 8), np.float32), "b": np.zeros((1, 7), np.float32)}
    found = first_parting(zeros, prints, 0, 1, "flat")
    assert (found.agreeing, found.tensor, found.last_module) == (0, "a", None)
    assert "at the very start" in found.describe()
