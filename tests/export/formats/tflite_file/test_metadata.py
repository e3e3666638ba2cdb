"""Standard TFLite metadata, as Android Studio and MediaPipe would read it."""

from __future__ import annotations

import zipfile

import flatbuffers.table
import pytest
from flatbuffers.number_types import Float32Flags
from mobile_artifacts import LABELS, small

from export.formats.flatbuffer import Table, root
from export.formats.tflite_file.contents import parse
from export.recipe import Format


def test_standard_metadata_states_normalisation_and_labels() -> None:
    built = small(Format.TFLITE)
    model = root(parse(built.path).metadata["TFLITE_METADATA"], b"M001")
    subgraph = model.tables(3)[0]
    image, scores = subgraph.tables(2)[0], subgraph.tables(3)[0]
    assert (image.text(0), scores.text(0)) == ("image", "logits")
    unit = image.tables(4)[0]
    options = unit.table(1)
    assert unit.scalar(0, "B") == 1  # NormalizationOptions
    assert options is not None
    mean, std = (_floats(options, slot) for slot in (0, 1))
    assert mean == pytest.approx([123.675, 116.28, 103.53])
    assert std == pytest.approx([58.395, 57.12, 57.375])
    file = scores.tables(6)[0]
    assert (file.text(0), file.scalar(2, "b")) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS
    with zipfile.ZipFile(built.path) as archive:
        assert tuple(archive.read("labels.txt").decode().splitlines()) == LABELS


def _floats(table: Table, slot: int) -> list[float]:
    """A vector of float32, read by the official package."""
    official = flatbuffers.table.Table(table.data, table.position)
    field = official.Offset(4 + 2 * slot)
    start = official.Vector(field)
    return [official.Get(Float32Flags, start + 4 * place) for place in range(official.VectorLen(field))]
