"""LiteRT's session of the native runner, with the library that is installed, on files made by hand.

What they give is computed with numpy. Which versions differ in what stands in ``sessions/litert/api.cpp``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator, SignatureDefT, TensorType
from mobile_artifacts import small
from tflite_by_hand import signature, tensor, write_model

from export.recipe import Format
from runtimes.runners.array_sets import read_sets, write_sets
from runtimes.runners.contract import RunRequest
from runtimes.runners.native.build import SOURCE
from runtimes.runners.schedule import scheduled
from runtimes.runners.workload import Workload
from runtimes.sessions.session import Array

PACKAGE = find_spec("ai_edge_litert")
LIBRARY = Path((PACKAGE and PACKAGE.origin) or "").with_name("libLiteRt.so")
RUNTIME = f"LiteRT {version('ai-edge-litert')}"
ADD, FLOAT = BuiltinOperator.ADD, TensorType.FLOAT32
FED = np.array([[1.5, -2.0, 0.0, 8.0]], np.float32)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := [name for name in ("cmake", "g++") if shutil.which(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("runner")
    for command in (["cmake", "-S", str(SOURCE), "-B", str(folder)], ["cmake", "--build", str(folder)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "edgevit-runner"


class Told:
    """What a run left: its outputs, or the reason of its last line."""

    def __init__(self, done: subprocess.CompletedProcess[str], directory: Path) -> None:
        assert done.returncode in (0, 1), f"ended by {done.returncode}, in no words"
        last = json.loads((directory / "lines").read_bytes().splitlines()[-1])
        self.outputs = read_sets(directory / "out.npz") if done.returncode == 0 else []
        self.error = "" if done.returncode == 0 else str(last["error"])
        self.stderr = done.stderr


Runs = Callable[..., Told]


@pytest.fixture
def run(program: Path, tmp_path: Path) -> Runs:
    def run(model: Path, feeds: list[dict[str, Array]], library: Path = LIBRARY, runtime: str = RUNTIME) -> Told:
        write_sets(tmp_path / "in.npz", feeds)
        request = RunRequest(
            format=Format.TFLITE, model=str(model), library=str(library), runtime=runtime, inputs="in.npz",
            lines="lines", outputs="out.npz", workload=scheduled(Workload(runs=2, warmup=1)),
        )  # fmt: skip
        (tmp_path / "request.json").write_text(request.to_json(), encoding="utf-8")
        done = subprocess.run([program, "request.json"], cwd=tmp_path, capture_output=True, text=True, check=False)
        return Told(done, tmp_path)

    return run


def doubled(
    path: Path, *signatures: SignatureDefT, shape: tuple[int, ...] = (1, 4), outputs: tuple[int, ...] = (1,)
) -> Path:
    """A model that adds its input to itself."""
    tensors = [tensor("a", shape, FLOAT), tensor("o", shape, FLOAT)]
    return write_model(path, tensors, [(ADD, [0, 0], [1])], [0], outputs, signatures)


def test_quantised_inputs_and_names_in_another_order_than_the_graphs(run: Runs, tmp_path: Path) -> None:
    model = write_model(
        tmp_path / "a $b.tflite",
        [
            tensor("a", (1, 4), TensorType.UINT8, scale=0.5, zero_point=3),
            tensor("b", (2, 3), TensorType.INT8, scale=0.25, zero_point=-1),
            tensor("x", (1, 4), FLOAT),
            tensor("y", (2, 3), FLOAT),
        ],
        [(BuiltinOperator.DEQUANTIZE, [0], [2]), (BuiltinOperator.DEQUANTIZE, [1], [3])],
        [0, 1],
        [2, 3],
        [signature("serving_default", [("in b", 1), ("in$a", 0)], [("out_b", 3), ("out_a", 2)])],
    )
    a, b = np.array([[0, 3, 200, 255]], np.uint8), np.array([[-128, -1, 0], [1, 2, 127]], np.int8)
    told = run(model, [{"in$a": a, "in b": b}, {"in$a": a[:, ::-1], "in b": b[::-1]}])
    assert (told.error, told.stderr) == ("", "")
    for given, way in zip(told.outputs, (1, -1), strict=True):
        assert np.array_equal(given["out_a"], (a[:, ::way].astype(np.float32) - 3) * np.float32(0.5))
        assert np.array_equal(given["out_b"], (b[::way].astype(np.float32) + 1) * np.float32(0.25))


def test_a_free_axis_takes_the_size_of_each_feed(run: Runs, tmp_path: Path) -> None:
    model = doubled(tmp_path / "m.tflite", signature("serving_default", [("a", 0)], [("o", 1)]), shape=(-1, 4))
    feeds = [{"a": np.repeat(FED, count, axis=0)} for count in (3, 1, 7)]
    told = run(model, feeds)
    assert told.error == ""
    assert [given["o"].tolist() for given in told.outputs] == [(feed["a"] * 2).tolist() for feed in feeds]


def test_without_a_signature_tensors_keep_their_own_names(run: Runs, tmp_path: Path) -> None:
    assert np.array_equal(run(doubled(tmp_path / "m.tflite"), [{"a": FED}]).outputs[0]["o"], FED * 2)


def test_the_default_signature_is_taken_of_several_and_others_are_refused(run: Runs, tmp_path: Path) -> None:
    other = signature("other", [("a", 0)], [("o", 1)])
    default = signature("serving_default", [("in", 0)], [("out", 1)])
    model = doubled(tmp_path / "m.tflite", other, default)
    assert np.array_equal(run(model, [{"in": FED}]).outputs[0]["out"], FED * 2)
    model = doubled(tmp_path / "m.tflite", other, signature("third", [("a", 0)], [("o", 1)]))
    assert "needs the signature 'serving_default' or only one; it has: other, third" in run(model, [{"a": FED}]).error


@pytest.mark.parametrize("outputs", [(1, 0), (1, 1)])
def test_a_tensor_that_would_need_two_buffers_is_refused(run: Runs, tmp_path: Path, outputs: tuple[int, int]) -> None:
    """LiteRT fills one of them, without a word; the other keeps what lay in memory."""
    names = [("o", outputs[0]), ("p", outputs[1])]
    model = doubled(tmp_path / "m.tflite", signature("serving_default", [("a", 0)], names), outputs=outputs)
    assert "expected a tensor of its own" in run(model, [{"a": FED}]).error


def test_an_output_whose_shape_only_its_values_decide_is_refused(run: Runs, tmp_path: Path) -> None:
    tensors = [tensor("a", (1, 4), TensorType.BOOL), tensor("o", (-1, 2), TensorType.INT64)]
    model = write_model(tmp_path / "m.tflite", tensors, [(BuiltinOperator.WHERE, [0], [1])], [0], [1])
    told = run(model, [{"a": np.ones((1, 4), np.bool_)}])
    assert "the output 'o' is (?, 2), expected a shape that the inputs' shapes decide" in told.error


def test_an_operator_that_nobody_knows_is_named_in_the_runtimes_words(run: Runs, tmp_path: Path) -> None:
    tensors = [tensor("a", (1, 4), FLOAT), tensor("o", (1, 4), FLOAT)]
    told = run(write_model(tmp_path / "m.tflite", tensors, [("Frobnicate", [0], [1])], [0], [1]), [{"a": FED}])
    assert f"{RUNTIME} could not plan the memory of" in told.error
    assert "kLiteRtStatusErrorRuntimeFailure, status 3: Encountered unresolved custom op: Frobnicate" in told.error


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.7])
def test_a_cut_file_is_refused_where_litert_would_end_the_process(run: Runs, tmp_path: Path, kept: float) -> None:
    data = small(Format.TFLITE).path.read_bytes()
    model = tmp_path / "m.tflite"
    model.write_bytes(data[: 8 + int(len(data) * kept)])
    assert "is cut or damaged: it points at" in run(model, [{"a": FED}]).error


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "bytes 4 to 8 are not 'TFL3'"),
        (b"\x00" * 64, "bytes 4 to 8 are not 'TFL3'"),
        (b"\x18\x00\x00\x00TFL3" + b"\xff" * 64, "is cut or damaged"),
        (b"\x00\x00\x00\x00TFL3" + b"\x00" * 64, "a TFLite model without a graph"),
    ],
)
def test_rubbish_is_refused(run: Runs, tmp_path: Path, data: bytes, words: str) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(data)
    assert words in run(model, [{"a": FED}]).error


def test_a_model_that_is_not_there_is_told(run: Runs, tmp_path: Path) -> None:
    assert f"cannot read {tmp_path / 'none'}: No such file" in run(tmp_path / "none", [{"a": FED}]).error


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        ("LiteRT 1.4.0", f"from 2.0.2 to 2.3, and {LIBRARY} is LiteRT 1.4.0: fetch a newer library"),
        ("LiteRT 2.99.0", f"from 2.0.2 to 2.3, and {LIBRARY} is LiteRT 2.99.0: fetch an older library, or a newer"),
        ("LiteRT 2.0.3", "is not LiteRT 2.0.3, as which the request names it: it has LiteRtGetCompiledModelOutput"),
        ("LiteRT 2.1.2", "it has no LiteRtCreateCpuOptions, which left with 2.1.3; fetch the library again"),
        ("LiteRT 2.1.5", "it has LiteRtCreateModelFromFd, which came with 2.1.6; fetch the library again"),
        ("LiteRT", "the request calls the runtime 'LiteRT', expected a name and a released version"),
        ("LiteRT 2.3.0rc1", "the request calls the runtime 'LiteRT 2.3.0rc1', expected a name and a released version"),
    ],
)
def test_a_version_that_is_not_known_or_not_the_librarys_is_refused(
    run: Runs, tmp_path: Path, runtime: str, words: str
) -> None:
    assert words in run(doubled(tmp_path / "m.tflite"), [{"a": FED}], runtime=runtime).error


def test_a_library_that_is_none_of_litert_is_refused(run: Runs, program: Path, tmp_path: Path) -> None:
    model, other = doubled(tmp_path / "m.tflite"), tmp_path / "other.so"
    subprocess.run(["g++", "-shared", "-x", "c", "/dev/null", "-o", other], check=True)
    assert "has no LiteRtCreateEnvironment: it is another library" in run(model, [{"a": FED}], other).error
    assert "No such file" in run(model, [{"a": FED}], tmp_path / "none.so").error
    assert "invalid ELF header" in run(model, [{"a": FED}], tmp_path / "request.json").error
