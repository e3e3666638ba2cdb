"""Standard TFLite metadata, as Android Studio and MediaPipe would read it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import flatbuffers
import flatbuffers.table
import pytest
from flatbuffers.number_types import Float32Flags
from mobile_artifacts import LABELS, small, small_program
from msgspec.structs import replace

from edgevit.errors import ArtifactError
from edgevit.spec import Task
from export.formats.flatbuffer import Table, root
from export.formats.tflite_file.contents import parse
from export.formats.tflite_file.metadata import (
    ENTRY,
    FILES,
    LABELS_FILE,
    model_metadata,
    own_metadata,
    read_files,
    read_metadata,
)
from export.formats.tflite_file.read import read
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


def test_what_is_written_is_what_is_read() -> None:
    built = small(Format.TFLITE)
    program = small_program()
    expected = own_metadata(program.spec, program.inputs, program.outputs)
    found = read(built.path).metadata
    assert {key: found[key] for key in expected} == expected
    assert expected[FILES] == LABELS_FILE
    assert '"mean": [123.67' in expected[ENTRY]


@pytest.mark.parametrize(
    ("color", "labels", "task"),
    [("BGR", (), Task.CLASSIFY), ("gray", LABELS, Task.CLASSIFY), ("RGB", LABELS, Task.FEATURES)],
)
def test_every_kind_of_contract_survives_the_table(color: str, labels: tuple[str, ...], task: Task) -> None:
    program = small_program()
    assert program.spec.preprocessing is not None
    channels = (
        program.spec.preprocessing if color != "gray" else replace(program.spec.preprocessing, mean=(0.1,), std=(0.3,))
    )
    spec = replace(program.spec, labels=labels, task=task, preprocessing=replace(channels, color_order=color))
    raw = model_metadata(spec, program.inputs, program.outputs)
    assert read_metadata(raw) == own_metadata(spec, program.inputs, program.outputs)[ENTRY]
    bare = replace(spec, preprocessing=None)
    raw = model_metadata(bare, program.inputs, program.outputs)
    assert read_metadata(raw) == own_metadata(bare, program.inputs, program.outputs)[ENTRY]


def test_a_field_that_nobody_here_writes_is_seen() -> None:
    """An author: slot 4 of the table."""
    builder = flatbuffers.Builder(64)
    author = builder.CreateString("somebody")
    builder.StartObject(8)
    builder.PrependUOffsetTRelativeSlot(4, author, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"M001")
    assert read_metadata(bytes(builder.Output())) == '{"slot 4": "unknown"}'
    assert read_metadata(b"M001").startswith("broken: ")


def relabelled(path: Path, directory: Path, members: dict[str, bytes]) -> Path:
    """A copy with other files behind the model."""
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = min(info.header_offset for info in archive.infolist())
    copy = directory / "model.tflite"
    copy.write_bytes(data[:start])
    with zipfile.ZipFile(copy, "a") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return copy


def test_other_files_behind_the_model_are_named_and_broken_ones_refused(tmp_path: Path) -> None:
    path = small(Format.TFLITE).path
    two = read_files(relabelled(path, tmp_path, {"labels.txt": b"a\n", "labels_de.txt": b"b\n"}))
    assert two == {FILES: "labels.txt, labels_de.txt"}
    assert read_files(relabelled(path, tmp_path, {"labels.txt": b"a\n"})) == {FILES: "labels.txt", LABELS_FILE: "a\n"}
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_files(relabelled(path, tmp_path, {"labels.txt": b"\xff\n"}))
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(b"TFL3" + bytes(100))
    assert read_files(cut) == {}


def test_labels_of_impossible_length_are_not_read(tmp_path: Path) -> None:
    copy = relabelled(small(Format.TFLITE).path, tmp_path, {})
    with zipfile.ZipFile(copy, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", bytes(17 << 20))
    with pytest.raises(ArtifactError, match="claims 17825792 bytes"):
        read_files(copy)
