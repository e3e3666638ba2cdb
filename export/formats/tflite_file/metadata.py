"""Standard TFLite Model Metadata: what Android Studio, the Task Library and MediaPipe read from a ``.tflite`` file.

The table ``ModelMetadata`` (tflite-support, ``metadata_schema.fbs``, version 1.1.0) says how an image becomes the
input tensor and which file names the classes. That file travels inside the ``.tflite``, as a zip behind its end.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec

if TYPE_CHECKING:
    from flatbuffers import Builder  # type: ignore[import-untyped]

LABELS_FILE = "labels.txt"
_IDENTIFIER = b"M001"
_MIN_PARSER = "1.0.0"  # every field written here is in the schema's first version
_AXIS_LABELS, _IMAGE, _FEATURE, _NORMALISATION = 2, 2, 1, 1
_COLOR_SPACES = {"RGB": 1, "gray": 2}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip: equal labels give equal bytes


def model_metadata(spec: ModelSpec, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> bytes:
    """The ``ModelMetadata`` table for a file with these inputs and outputs, in the order of its subgraph.

    Normalisation is stated for pixels 0..255, as the metadata's readers apply it: ``(pixel - mean) / std``.
    """
    from flatbuffers import Builder

    builder = Builder(1024)
    tensors_in = [_input(builder, tensor, spec.preprocessing) for tensor in inputs]
    tensors_out = [_output(builder, tensor, spec) for tensor in outputs]
    subgraph = _table(builder, 8, {2: _vector(builder, tensors_in), 3: _vector(builder, tensors_out)})
    fields = {
        0: builder.CreateString(spec.name),
        1: builder.CreateString(f"{spec.variant} for {spec.task.value}; weights: {spec.weights.describe()}"),
        3: _vector(builder, [subgraph]),
        7: builder.CreateString(_MIN_PARSER),
    }
    builder.Finish(_table(builder, 8, fields), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def append_labels(path: Path, labels: tuple[str, ...]) -> None:
    """Put the class names behind the end of the model, as the zip member ``labels.txt``, one name a line."""
    member = zipfile.ZipInfo(LABELS_FILE, date_time=_EPOCH)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "".join(label + "\n" for label in labels))


def _input(builder: Builder, tensor: TensorSpec, preprocessing: Preprocessing | None) -> int:
    fields = {0: builder.CreateString(tensor.name), 1: builder.CreateString(_describe(tensor, preprocessing))}
    if preprocessing is not None and tensor.layout is not None:
        fields[3] = _image_content(builder, preprocessing)
        stated = (255 * np.array(values) for values in (preprocessing.mean, preprocessing.std))
        mean, std = (builder.CreateNumpyVector(values.astype("<f4")) for values in stated)
        options = _table(builder, 2, {0: mean, 1: std})
        fields[4] = _vector(builder, [_table(builder, 2, {1: options}, {0: _NORMALISATION})])
    return _table(builder, 7, fields)


def _output(builder: Builder, tensor: TensorSpec, spec: ModelSpec) -> int:
    fields = {0: builder.CreateString(tensor.name), 3: _content(builder, _FEATURE, _table(builder, 0, {}))}
    if spec.labels and spec.task is Task.CLASSIFY:
        name = builder.CreateString(LABELS_FILE)
        about = builder.CreateString("Class names, one a line, in the order of the scores.")
        fields[6] = _vector(builder, [_table(builder, 4, {0: name, 1: about}, {2: _AXIS_LABELS})])
    return _table(builder, 7, fields)


def _image_content(builder: Builder, preprocessing: Preprocessing) -> int:
    height, width = preprocessing.crop_px
    builder.StartObject(2)
    builder.PrependUint32Slot(0, width, 0)
    builder.PrependUint32Slot(1, height, 0)
    size = builder.EndObject()
    image = _table(builder, 2, {1: size}, {0: _COLOR_SPACES.get(preprocessing.color_order, 0)})
    return _content(builder, _IMAGE, image)


def _content(builder: Builder, kind: int, properties: int) -> int:
    return _table(builder, 3, {1: properties}, {0: kind})


def _describe(tensor: TensorSpec, preprocessing: Preprocessing | None) -> str:
    axes = {Layout.NCHW: "channels first", Layout.NHWC: "channels last"}
    layout = axes[tensor.layout] if tensor.layout else "no image"
    order = f", {preprocessing.color_order}" if preprocessing is not None else ""
    return f"{tensor.dtype} {list(tensor.shape)}, {layout}{order}"


def _table(builder: Builder, slots: int, offsets: dict[int, int], enums: dict[int, int] | None = None) -> int:
    """Write a table of sub-objects (by slot) and one-byte enums (by slot)."""
    builder.StartObject(slots)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (enums or {}).items():
        builder.PrependUint8Slot(slot, value, 0)
    return int(builder.EndObject())


def _vector(builder: Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
