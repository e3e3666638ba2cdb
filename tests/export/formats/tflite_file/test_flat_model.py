"""A file as objects and back."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import numpy as np
import pytest
from mobile_artifacts import small

from export.formats.flatbuffer import root
from export.formats.tflite_file.contents import parse_bytes
from export.formats.tflite_file.flat_model import ALIGNMENT, packed, unpacked
from export.recipe import Format
from runtimes.sessions.table import open_session


@pytest.fixture(scope="module")
def data() -> bytes:
    path = small(Format.TFLITE).path
    return path.read_bytes()


def test_nothing_gets_lost(data: bytes) -> None:
    before, after = parse_bytes(data), parse_bytes(packed(unpacked(data)))
    assert after.signatures == before.signatures
    assert after.metadata == before.metadata
    assert after.description == before.description
    (one,), (other,) = before.graphs, after.graphs
    assert other.operators == one.operators
    assert [dataclasses.replace(tensor, buffer=0) for tensor in other.tensors] == [
        dataclasses.replace(tensor, buffer=0) for tensor in one.tensors
    ]


def test_data_lies_inside_and_aligned(data: bytes) -> None:
    made = packed(unpacked(data))
    start = np.frombuffer(made, np.uint8).ctypes.data
    blobs = [buffer.blob(0) for buffer in root(made, b"TFL3").tables(4)]
    filled = [blob for blob in blobs if len(blob)]
    assert len(filled) > 5
    places = [np.frombuffer(blob, np.uint8).ctypes.data - start for blob in filled]
    assert all(0 < place < len(made) for place in places)
    assert all(place % ALIGNMENT == 0 for place in places)


def test_the_same_objects_give_the_same_bytes(data: bytes) -> None:
    assert packed(unpacked(data)) == packed(unpacked(data))


def test_the_runtime_answers_as_before(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "again.tflite").write_bytes(packed(unpacked(data)))
    feed = {"image": np.random.default_rng(0).standard_normal((1, 3, 32, 24)).astype(np.float32)}
    answers = []
    for path in (small(Format.TFLITE).path, tmp_path / "again.tflite"):
        session = open_session(path, Format.TFLITE, threads=1)
        answers.append(session.run(feed)["logits"])
        session.close()
    assert (answers[0] == answers[1]).all()


def test_data_behind_the_flatbuffer_comes_inside(data: bytes) -> None:
    """As ai-edge-quantizer writes large files: a buffer's place and length instead of its data."""
    from ai_edge_quantizer.model_modifier import ModelModifier, _PackedBufferData

    model = unpacked(data)
    outside = bytes(ModelModifier(model)._serialize_model(model, _PackedBufferData(model, 16)))
    assert struct.unpack_from("<4s", outside, 4) == (b"TFL3",)
    before, after = parse_bytes(data), parse_bytes(packed(unpacked(outside)))
    assert after.metadata == before.metadata
    assert not any(buffer.scalar(1, "Q") for buffer in root(packed(unpacked(outside)), b"TFL3").tables(4))
