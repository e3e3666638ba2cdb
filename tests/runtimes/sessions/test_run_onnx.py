"""ONNX Runtime sessions on a small network exported here; the runtime, not our code, is the reference for files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgevit.errors import MissingDependencyError, SessionError
from edgevit.installation import install_packages
from runtimes.sessions.run_onnx import OnnxSession


class Small(nn.Module):
    """Two outputs, a residual and a constant: shapes (N, 5) and (N, 4, 6, 6)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.mix = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 5)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(image).relu()
        x = x + self.mix(x) * 0.5
        return self.head(x.mean((2, 3))), x


@pytest.fixture(scope="module")
def model() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def path(model: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    image = torch.zeros(2, 3, 6, 6)
    names = {"input_names": ["image"], "output_names": ["logits", "map"]}
    torch.onnx.export(model, (image,), path, dynamo=False, dynamic_axes={"image": {0: "batch"}}, **names)
    return path


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 3, 6, 6)).astype(np.float32)


def test_run_answers_as_the_model(model: Small, path: Path) -> None:
    session = OnnxSession(path)
    with torch.no_grad():
        logits, features = model(torch.from_numpy(images(3)))
    answer = session.run({"image": images(3)})
    assert list(answer) == ["logits", "map"]
    np.testing.assert_allclose(answer["logits"], logits.numpy(), atol=1e-5)
    np.testing.assert_allclose(answer["map"], features.numpy(), atol=1e-5)


def test_specs_come_from_the_file(path: Path) -> None:
    session = OnnxSession(path, threads=2)
    assert [(spec.name, spec.shape, spec.dtype) for spec in session.inputs] == [("image", (-1, 3, 6, 6), "float32")]
    assert [spec.name for spec in session.outputs] == ["logits", "map"]
    assert session.runtime.startswith("onnxruntime 1.")


def test_trace_hands_out_every_node_in_order(model: Small, path: Path) -> None:
    session = OnnxSession(path)
    trace = session.trace({"image": images(2)})
    stem = model.stem(torch.from_numpy(images(2))).detach().numpy()
    names = list(trace)
    assert names == list(session.producers())
    first = next(name for name in names if session.producers()[name] == "Conv")
    np.testing.assert_allclose(trace[first], stem, atol=1e-5)
    assert names.index(first) < names.index("map") < names.index("logits")
    np.testing.assert_allclose(trace["logits"], session.run({"image": images(2)})["logits"], atol=1e-5)


def test_running_needs_no_onnx_and_tracing_says_that_it_does(
    model: Small, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    session = OnnxSession(path)
    assert session.run({"image": images(1)})["logits"].shape == (1, 5)
    with pytest.raises(MissingDependencyError, match=r"cannot trace small\.onnx: onnx is not installed") as caught:
        session.trace({"image": images(1)})
    assert caught.value.hint == install_packages("onnx>=1.17")


def test_opening_and_running_import_neither_onnx_nor_torch(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from runtimes.sessions.run_onnx import OnnxSession\n"
        f"OnnxSession(Path({str(path)!r})).run({{'image': np.zeros((1, 3, 6, 6), np.float32)}})\n"
        "assert not {'onnx', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tracing_twice_and_after_other_runs_gives_the_same(path: Path) -> None:
    session = OnnxSession(path)
    first = session.trace({"image": images(2)})
    session.run({"image": images(1)})
    again = session.trace({"image": images(2)})
    assert list(first) == list(again)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "'image'"),
        ({"photo": images(1)}, "'photo'"),
        ({"image": images(1), "more": images(1)}, "'more'"),
        ({"image": images(1).astype(np.float64)}, "must be float32, but is float64"),
        ({"image": images(1)[:, :2]}, r"must have shape \(\?, 3, 6, 6\), but has \(1, 2, 6, 6\)"),
        ({"image": images(1)[0]}, "must have shape"),
    ],
)
def test_a_feed_that_does_not_fit_is_refused(path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    session = OnnxSession(path)
    for call in (session.run, session.trace):
        with pytest.raises(SessionError, match=words):
            call(arrays)


@pytest.mark.parametrize("keep", [0, 10, 200, -20])
def test_a_truncated_file_is_refused(path: Path, tmp_path: Path, keep: int) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SessionError, match=r"broken\.onnx"):
        OnnxSession(broken)
