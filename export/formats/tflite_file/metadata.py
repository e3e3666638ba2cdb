"""Standard TFLite Model Metadata: what Android Studio, the Task Library and MediaPipe read from a ``.tflite`` file.

The table ``ModelMetadata`` (tflite-support, ``metadata_schema.fbs``, version 1.1.0) says how an image becomes the
input tensor and which file names the classes. That file travels inside the ``.tflite``, as a zip behind its end.

The table passes through here as a tree of names and values, ``_SCHEMA`` says where in the FlatBuffer each stands: the
writer and the reader take it from there, and a field that it does not know is read as one, so that nothing is missed.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgevit.errors import ArtifactError
from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec
from export.formats.flatbuffer import FlatbufferError, Table, root

if TYPE_CHECKING:
    from flatbuffers import Builder  # type: ignore[import-untyped]

Tree: TypeAlias = "Mapping[str, Node]"
Node: TypeAlias = "str | int | Sequence[float] | Sequence[Tree] | Tree"

ENTRY = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"
FILES = "files"  # under which ``read`` tells what the zip behind the model holds
_IDENTIFIER = b"M001"
_MIN_PARSER = "1.0.0"  # every field written here is in the schema's first version
_AXIS_LABELS, _IMAGE, _FEATURE, _NORMALISATION = 2, 2, 1, 1
_COLOR_SPACES = {"RGB": 1, "gray": 2}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip: equal labels give equal bytes
_MOST_LABELS_BYTES = 16 << 20  # chosen: ImageNet-21k's names have half a megabyte

_SCHEMA: dict[str, dict[int, tuple[str, str]]] = {
    "model": {0: ("name", "text"), 1: ("about", "text"), 3: ("subgraphs", "[subgraph]"), 7: ("min_parser", "text")},
    "subgraph": {2: ("inputs", "[tensor]"), 3: ("outputs", "[tensor]")},
    "tensor": {
        0: ("name", "text"), 1: ("about", "text"), 3: ("content", "content"), 4: ("units", "[unit]"),
        6: ("files", "[file]"),
    },
    "content": {0: ("kind", "B"), 1: ("properties", "properties")},
    "properties": {0: ("color", "B"), 1: ("size", "size")},
    "size": {0: ("width", "I"), 1: ("height", "I")},
    "unit": {0: ("kind", "B"), 1: ("options", "options")},
    "options": {0: ("mean", "floats"), 1: ("std", "floats")},
    "file": {0: ("name", "text"), 1: ("about", "text"), 2: ("kind", "B")},
}  # fmt: skip
"""For each table its slots: the field's name here and its type; "[x]" is a vector of tables x."""


def own_metadata(spec: ModelSpec, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> dict[str, str]:
    """What a file with these inputs and outputs, says by the standard: as ``read`` has it."""
    labelled = bool(spec.labels) and spec.task is Task.CLASSIFY
    return {
        ENTRY: _json(_tree(spec, inputs, outputs)),
        FILES: LABELS_FILE if labelled else "",
        LABELS_FILE: labels_text(spec.labels) if labelled else "",
    }


def model_metadata(spec: ModelSpec, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> bytes:
    """The ``ModelMetadata`` table for a file with these inputs and outputs, in the order of its subgraph."""
    from flatbuffers import Builder

    builder = Builder(1024)
    builder.Finish(_write(builder, "model", _tree(spec, inputs, outputs)), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def read_metadata(raw: bytes) -> str:
    """The table in ``raw`` as JSON; of one that is broken, what is wrong with it."""
    try:
        return _json(_read(root(raw, _IDENTIFIER), "model"))
    except FlatbufferError as error:
        return f"broken: {error}"


def append_labels(path: Path, labels: tuple[str, ...]) -> None:
    """Put the class names behind the end of the model, as the zip member ``labels.txt``, one name a line."""
    member = zipfile.ZipInfo(LABELS_FILE, date_time=_EPOCH)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, labels_text(labels))


def labels_text(labels: tuple[str, ...]) -> str:
    """The class names as ``labels.txt`` holds them."""
    return "".join(label + "\n" for label in labels)


def read_files(path: Path) -> dict[str, str]:
    """What the zip behind the model holds: the names of its members, and the class names; empty without one.

    Raises:
        ArtifactError: The zip is damaged, or its class names are no UTF-8 or of impossible length.
    """
    if not zipfile.is_zipfile(path):
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            found = {FILES: ", ".join(member.filename for member in members)}
            if [member.filename for member in members] == [LABELS_FILE]:
                if members[0].file_size > _MOST_LABELS_BYTES:
                    raise ArtifactError(f"{path}: its {LABELS_FILE} claims {members[0].file_size} bytes")
                found[LABELS_FILE] = archive.read(members[0]).decode()
    except ArtifactError:
        raise
    except Exception as error:  # zipfile raises zlib.error, struct.error, RuntimeError and others on damaged bytes
        raise ArtifactError(f"{path}: the zip behind the model cannot be read: {error}") from error
    return found


def _tree(spec: ModelSpec, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> Tree:
    """Normalisation is stated for pixels 0..255, as the metadata's readers apply it: ``(pixel - mean) / std``."""
    about = f"{spec.variant} for {spec.task.value}; weights: {spec.weights.describe()}"
    subgraph: Tree = {
        "inputs": [_input(tensor, spec.preprocessing) for tensor in inputs],
        "outputs": [_output(tensor, spec) for tensor in outputs],
    }
    return {"name": spec.name, "about": about, "subgraphs": [subgraph], "min_parser": _MIN_PARSER}


def _input(tensor: TensorSpec, preprocessing: Preprocessing | None) -> Tree:
    described: dict[str, Node] = {"name": tensor.name, "about": _describe(tensor, preprocessing)}
    if preprocessing is not None and tensor.layout is not None:
        height, width = preprocessing.crop_px
        image: dict[str, Node] = {"size": {"width": width, "height": height}}
        if color := _COLOR_SPACES.get(preprocessing.color_order):
            image["color"] = color
        options: Tree = {"mean": _of_255(preprocessing.mean), "std": _of_255(preprocessing.std)}
        described["content"] = {"kind": _IMAGE, "properties": image}
        described["units"] = [{"kind": _NORMALISATION, "options": options}]
    return described


def _of_255(shares: tuple[float, ...]) -> list[float]:
    """Shares of the pixel range as pixel values, in the float32 that the table holds."""
    values: list[float] = (255 * np.array(shares)).astype(np.float32).tolist()
    return values


def _output(tensor: TensorSpec, spec: ModelSpec) -> Tree:
    described: dict[str, Node] = {"name": tensor.name, "content": {"kind": _FEATURE, "properties": {}}}
    if spec.labels and spec.task is Task.CLASSIFY:
        about = "Class names, one a line, in the order of the scores."
        described["files"] = [{"name": LABELS_FILE, "about": about, "kind": _AXIS_LABELS}]
    return described


def _describe(tensor: TensorSpec, preprocessing: Preprocessing | None) -> str:
    axes = {Layout.NCHW: "channels first", Layout.NHWC: "channels last"}
    layout = axes[tensor.layout] if tensor.layout else "no image"
    order = f", {preprocessing.color_order}" if preprocessing is not None else ""
    return f"{tensor.dtype} {list(tensor.shape)}, {layout}{order}"


def _json(tree: Tree) -> str:
    return json.dumps(tree, sort_keys=True, ensure_ascii=False)


def _read(table: Table, kind: str) -> Tree:
    """A table's fields by name; one that the schema here does not know is named by its slot."""
    schema = _SCHEMA[kind]
    known = {schema[slot][0]: _field(table, slot, schema[slot][1]) for slot in table.slots() if slot in schema}
    return {**known, **{f"slot {slot}": "unknown" for slot in table.slots() if slot not in schema}}


def _field(table: Table, slot: int, kind: str) -> Node:
    if kind == "text":
        return table.text(slot)
    if kind == "floats":
        return list(table.floats(slot))
    if kind in {"B", "I"}:
        return table.scalar(slot, kind)
    if kind.startswith("["):
        return [_read(entry, kind[1:-1]) for entry in table.tables(slot)]
    inner = table.table(slot)
    return {} if inner is None else _read(inner, kind)


def _write(builder: Builder, kind: str, tree: Tree) -> int:
    """Write a table: what stands outside of it first, then its slots."""
    slots = {name: (slot, type_) for slot, (name, type_) in _SCHEMA[kind].items()}
    placed = [(*slots[name], _placed(builder, slots[name][1], value)) for name, value in tree.items()]
    builder.StartObject(max(_SCHEMA[kind]) + 1)
    for slot, type_, value in placed:
        if type_ == "B":
            builder.PrependUint8Slot(slot, value, 0)
        elif type_ == "I":
            builder.PrependUint32Slot(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(builder.EndObject())


def _placed(builder: Builder, kind: str, value: Node) -> int:
    """Where a text, vector or table has been written; a number itself."""
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Mapping):
        return _write(builder, kind, value)
    if kind == "floats":
        return int(builder.CreateNumpyVector(np.array(value, "<f4")))
    offsets = [_write(builder, kind[1:-1], entry) for entry in value if isinstance(entry, Mapping)]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
