"""TFLite sessions in ai-edge-litert, on files exported here."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mobile_artifacts import Built, edgevit, small

from edgevit.errors import SessionError
from edgevit.spec import Layout, Task
from export.recipe import Format
from runtimes.sessions.run_tflite import TfliteSession

CASES = [
    (small, (Format.TFLITE, Layout.NCHW)),
    (small, (Format.TFLITE, Layout.NHWC)),
    (edgevit, (Format.TFLITE, Task.CLASSIFY)),
    (edgevit, (Format.TFLITE, Task.FEATURES, Layout.NHWC)),
]


@pytest.mark.parametrize(("build", "arguments"), CASES, ids=["small", "small-nhwc", "classify", "features"])
def test_run_answers_as_the_program(build: Callable[..., Built], arguments: tuple[object, ...]) -> None:
    built = build(*arguments)
    session = TfliteSession(built.path)
    answer = session.run({"image": built.program.example[0].numpy()})
    expected = built.answers()
    assert list(answer) == list(expected)
    for name, tensor in expected.items():
        scale = float(tensor.abs().max())
        np.testing.assert_allclose(answer[name], tensor.numpy(), rtol=0, atol=2e-5 * max(scale, 1))
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run({"image": built.program.example[0].numpy()})


def test_a_result_does_not_change_with_the_next_run() -> None:
    built = small(Format.TFLITE)
    session = TfliteSession(built.path)
    image = built.program.example[0].numpy()
    first = session.run({"image": image})["logits"]
    kept = first.copy()
    second = session.run({"image": image * -2})["logits"]
    np.testing.assert_array_equal(first, kept)
    assert not np.array_equal(first, second)


def test_trace_ends_with_the_outputs_in_execution_order() -> None:
    built = small(Format.TFLITE)
    session = TfliteSession(built.path)
    image = {"image": built.program.example[0].numpy()}
    trace = session.trace(image)
    assert list(trace)[-1] == "logits"
    np.testing.assert_allclose(trace["logits"], session.run(image)["logits"], atol=1e-5)
    stem = next(array for name, array in trace.items() if name.startswith("stem/2;"))
    assert stem.shape == (1, 16, 12, 8)
    assert stem.min() >= 0
    assert session.producers()["logits"] == "FULLY_CONNECTED"
    assert set(session.producers()) == set(trace)


def test_delegation_counts_operators_and_partitions() -> None:
    whole = TfliteSession(small(Format.TFLITE).path).delegation()
    assert whole is not None
    assert (whole.delegated, whole.total, whole.partitions, whole.left) == (9, 9, 1, ())
    share = TfliteSession(edgevit(Format.TFLITE, Task.CLASSIFY).path).delegation()
    assert share is not None
    assert share.total - share.delegated == sum(_count(line) for line in share.left)
    assert share.delegated / share.total > 0.95
    assert share.delegate.startswith("XNNPACK of ai-edge-litert")
    assert sum(piece.operators for piece in share.pieces if piece.delegated) == share.delegated
    assert sum(piece.operators for piece in share.pieces) == share.total
    assert sum(piece.delegated for piece in share.pieces) == share.partitions


def _count(line: str) -> int:
    return int(line.partition(" x ")[2].partition(":")[0])


@pytest.mark.parametrize("keep", [0, 50, 3000])
def test_a_truncated_file_is_an_error(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(small(Format.TFLITE).path.read_bytes()[:keep])
    with pytest.raises(SessionError, match=r"cut\.tflite"):
        TfliteSession(path)
    with pytest.raises(SessionError, match="no such file"):
        TfliteSession(tmp_path / "none.tflite")


def test_flipped_bits_are_errors_and_never_crashes(tmp_path: Path) -> None:
    data = small(Format.TFLITE).path.read_bytes()
    generator = random.Random(3)
    for place in range(60):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        (tmp_path / f"{place}.tflite").write_bytes(bytes(damaged))
    script = """
import sys; from pathlib import Path; import numpy as np
from edgevit.errors import SessionError; from runtimes.sessions.run_tflite import TfliteSession
refused = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        session = TfliteSession(path)
        session.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in session.inputs})
    except SessionError:
        refused += 1
print(refused)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0 < int(done.stdout) < 60


def test_opening_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    TfliteSession(small(Format.TFLITE).path).run({"image": small(Format.TFLITE).program.example[0].numpy()})
    assert capfd.readouterr() == ("", "")
