"""Lite-interpreter sessions on a small network written through the real exporter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ptl_layers import images, network, sqnr_db, static, written
from torch import nn

from edgevit.errors import SessionError
from edgevit.spec import Layout, ModelSpec, Task, TensorSpec, Weights
from export.formats.ptl_file.read import read
from export.formats.ptl_file.write import write
from export.program import capture, with_input_layout
from export.recipe import Format, Precision, Recipe
from runtimes.sessions.run_ptl import PTL_ENGINE, PtlSession, engine_for
from runtimes.sessions.table import open_session


class Two(nn.Module):
    """Two inputs, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)

    def forward(self, image: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(image).relu()
        return self.head(x.mean((2, 3))) + bias, x


def spec() -> ModelSpec:
    inputs = (
        TensorSpec(name="image", shape=(2, 3, 6, 8), layout=Layout.NCHW),
        TensorSpec(name="bias", shape=(2, 5)),
    )
    outputs = (TensorSpec(name="logits", shape=(2, 5)), TensorSpec(name="map", shape=(2, 4, 6, 8), layout=Layout.NCHW))
    weights = Weights(source="random", seed=0)
    return ModelSpec(name="two", variant="two", task=Task.CLASSIFY, inputs=inputs, outputs=outputs, weights=weights)


@pytest.fixture(scope="module")
def model() -> Two:
    torch.manual_seed(0)
    return Two().eval()


@pytest.fixture(scope="module")
def path(model: Two, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ptl") / "two.ptl"
    write(capture(model, spec()), Recipe(format=Format.PTL), path)
    return path


def feed() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "image": rng.normal(size=(2, 3, 6, 8)).astype(np.float32),
        "bias": rng.normal(size=(2, 5)).astype(np.float32),
    }


def expected(model: Two) -> list[np.ndarray]:
    with torch.no_grad():
        return [tensor.numpy() for tensor in model(*(torch.from_numpy(array) for array in feed().values()))]


def test_run_answers_as_the_model_by_name(model: Two, path: Path) -> None:
    session = PtlSession(path)
    reordered = dict(reversed(feed().items()))
    answer = session.run(reordered)
    assert list(answer) == ["logits", "map"]
    for seen, wanted in zip(answer.values(), expected(model), strict=True):
        np.testing.assert_allclose(seen, wanted, atol=1e-5)
    assert "lite interpreter" in session.runtime


def test_specs_come_from_the_file(path: Path) -> None:
    session = PtlSession(path)
    assert session.inputs == spec().inputs
    assert session.outputs == spec().outputs


def test_nhwc_and_read_only_arrays(model: Two, tmp_path: Path) -> None:
    path = tmp_path / "nhwc.ptl"
    write(with_input_layout(capture(model, spec()), Layout.NHWC), Recipe(format=Format.PTL), path)
    session = PtlSession(path)
    assert session.inputs[0].shape == (2, 6, 8, 3)
    arrays = feed()
    arrays["image"] = np.ascontiguousarray(arrays["image"].transpose(0, 2, 3, 1))
    arrays["image"].flags.writeable = False
    np.testing.assert_allclose(session.run(arrays)["map"], expected(model)[1], atol=1e-5)


def test_results_are_fresh(path: Path) -> None:
    session = PtlSession(path)
    first = session.run(feed())["logits"]
    kept = first.copy()
    session.run({name: array * 2 for name, array in feed().items()})
    np.testing.assert_array_equal(first, kept)


def test_the_thread_setting_is_restored(path: Path) -> None:
    before = torch.get_num_threads()
    PtlSession(path, threads=before + 1).run(feed())
    assert torch.get_num_threads() == before


def test_damaged_files_are_refused(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"constants/0.storage") + 100] ^= 0xFF  # a weight: between records lies what nobody reads
    for number, data in enumerate([b"", whole[:100], whole[: len(whole) // 2], whole[:-10], bytes(flipped), b"x" * 99]):
        broken = tmp_path / f"broken{number}.ptl"
        broken.write_bytes(data)
        with pytest.raises(SessionError, match=broken.name):
            PtlSession(broken)


def test_a_foreign_file_without_names_is_refused(model: Two, tmp_path: Path) -> None:
    path = tmp_path / "foreign.ptl"
    traced = torch.jit.trace(model, tuple(torch.from_numpy(array) for array in feed().values()))
    traced._save_for_lite_interpreter(str(path))
    with pytest.raises(SessionError, match="does not say what its inputs"):
        PtlSession(path)


def test_a_file_from_elsewhere_is_told_what_it_takes(tmp_path: Path) -> None:
    example = (torch.zeros(2, 3, 6, 8), torch.zeros(2, 5))
    network = Two().eval()
    path = tmp_path / "theirs.ptl"
    torch.jit.freeze(torch.jit.trace(network, example))._save_for_lite_interpreter(str(path))
    with pytest.raises(SessionError, match="does not say what its inputs and outputs are called"):
        PtlSession(path)
    session = open_session(path, Format.PTL, inputs=spec().inputs)
    assert (session.inputs, session.outputs) == (spec().inputs, ())
    feed = {"image": np.ones((2, 3, 6, 8), np.float32), "bias": np.full((2, 5), 3, np.float32)}
    answers = session.run(feed)
    assert list(answers) == ["output_0", "output_1"]
    expected = network(*(torch.from_numpy(array) for array in feed.values()))
    np.testing.assert_allclose(answers["output_0"], expected[0].detach().numpy(), rtol=1e-5)
    assert answers["output_1"].shape == (2, 4, 6, 8)


def test_a_file_that_says_what_it_takes_is_believed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write(capture(Two().eval(), spec()), Recipe(format=Format.PTL), tmp_path / "two.ptl")
    session = open_session(tmp_path / "two.ptl", Format.PTL, inputs=(TensorSpec(name="x", shape=(1,)),))
    assert [tensor.name for tensor in (*session.inputs, *session.outputs)] == ["image", "bias", "logits", "map"]


def test_int8_is_computed_by_the_engine_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, before = written(tmp_path / "int8.ptl", Precision.INT8, static), torch.backends.quantized.engine
    with torch.no_grad():
        expected = network()(images(1)[0])
    for engine in ("qnnpack", "onednn"):
        monkeypatch.setenv(PTL_ENGINE, engine)
        session = PtlSession(path)
        assert session.runtime.endswith(f"lite interpreter, int8 by {engine}")
        (found,) = session.run({"x": images(1)[0].numpy()}).values()
        assert 25 < sqnr_db(expected, torch.from_numpy(found)) < 60
        assert torch.backends.quantized.engine == before
    monkeypatch.setenv(PTL_ENGINE, "abacus")
    with pytest.raises(SessionError, match="has no engine 'abacus'"):
        PtlSession(path)


def test_the_engine_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PTL_ENGINE, raising=False)
    facts = read(written(tmp_path / "int8.ptl", Precision.INT8, static))
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    assert engine_for(facts) == "qnnpack"
    assert engine_for(read(written(tmp_path / "half.ptl", Precision.FP16))) is None
