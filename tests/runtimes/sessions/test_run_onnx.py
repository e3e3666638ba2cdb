"""ONNX Runtime sessions on a small network exported here; the runtime, not our code, is the reference for files."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgevit.errors import SessionError
from runtimes.sessions.onnx_wire import graph_nodes, with_outputs
from runtimes.sessions.run_onnx import open_session


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
    session = open_session(path)
    with torch.no_grad():
        logits, features = model(torch.from_numpy(images(3)))
    answer = session.run({"image": images(3)})
    assert list(answer) == ["logits", "map"]
    np.testing.assert_allclose(answer["logits"], logits.numpy(), atol=1e-5)
    np.testing.assert_allclose(answer["map"], features.numpy(), atol=1e-5)


def test_specs_come_from_the_file(path: Path) -> None:
    session = open_session(path, threads=2)
    assert [(spec.name, spec.shape, spec.dtype) for spec in session.inputs] == [("image", (-1, 3, 6, 6), "float32")]
    assert [spec.name for spec in session.outputs] == ["logits", "map"]
    assert session.runtime.startswith("onnxruntime 1.")


def test_trace_hands_out_every_node_in_order(model: Small, path: Path) -> None:
    session = open_session(path)
    trace = session.trace({"image": images(2)})
    stem = model.stem(torch.from_numpy(images(2))).detach().numpy()
    names = list(trace)
    assert names == list(session.producers())
    first = next(name for name in names if session.producers()[name] == "Conv")
    np.testing.assert_allclose(trace[first], stem, atol=1e-5)
    assert names.index(first) < names.index("map") < names.index("logits")
    np.testing.assert_allclose(trace["logits"], session.run({"image": images(2)})["logits"], atol=1e-5)


def test_trace_needs_no_onnx_package(path: Path) -> None:
    code = (
        "import sys; sys.modules['onnx'] = None; sys.modules['torch'] = None\n"
        "from pathlib import Path; import numpy as np\n"
        "from runtimes.sessions.run_onnx import open_session\n"
        f"session = open_session(Path({str(path)!r}))\n"
        "print(len(session.trace({'image': np.zeros((1, 3, 6, 6), np.float32)})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 6


def test_wire_reader_agrees_with_onnx(path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    nodes = graph_nodes(path.read_bytes())
    assert [(node.op_type, node.name, list(node.outputs)) for node in nodes] == [
        (node.op_type, node.name, list(node.output)) for node in model.graph.node
    ]


@given(st.lists(st.text(min_size=1, max_size=300), max_size=5, unique=True))
def test_added_outputs_are_merged_into_the_graph(names: list[str]) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([], "empty", [], [])
    model = onnx.ModelProto.FromString(with_outputs(onnx.helper.make_model(graph).SerializeToString(), names))
    assert [value.name for value in model.graph.output] == names
    assert model.graph.name == "empty"


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
    session = open_session(path)
    for call in (session.run, session.trace):
        with pytest.raises(SessionError, match=words):
            call(arrays)


@pytest.mark.parametrize("keep", [0, 10, 200, -20])
def test_a_truncated_file_is_refused(path: Path, tmp_path: Path, keep: int) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SessionError, match=r"broken\.onnx"):
        open_session(broken)


def test_a_missing_file_and_a_closed_session_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="no such file"):
        open_session(tmp_path / "none.onnx")
    session = open_session(path)
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run({"image": images(1)})


@given(st.binary(max_size=200))
def test_the_wire_reader_refuses_noise_with_its_own_error(noise: bytes) -> None:
    with contextlib.suppress(SessionError):
        graph_nodes(noise)
