"""Read an ``.onnx`` file from its bytes: names, shapes, operators and metadata; needs neither onnx nor protobuf.

A file must hold all that it computes with: tensors beside it, which no checksum covers, are refused before anything
opens them, wherever they are named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from edgevit.errors import ArtifactError
from edgevit.spec import Layout, TensorSpec
from export.artifact import FileFacts, Operator
from export.formats.metadata import INPUTS, OUTPUTS, tensors_from, unambiguous
from export.formats.onnx_file.metadata import DESCRIPTION, GRAPH
from export.formats.onnx_file.operators import version_in, why_not_standard
from export.formats.onnx_file.protobuf import Message, ProtobufError, every, parse
from export.formats.onnx_file.tensors import DTYPES, elements_by_dtype
from export.formats.onnx_file.unique import require_once
from export.formats.onnx_file.versions import lowest_runtime
from export.recipe import Format

_OWN = {"", "ai.onnx"}  # two names of the default domain
_MOST_BYTES = 2**31  # protobuf's own limit
_TRAINING_INPUT = 2  # of Dropout, since opset 12


def read(path: Path) -> FileFacts:
    """Read names, shapes, operators and metadata from the file alone.

    Raises:
        ArtifactError: Not a complete ONNX file, one that could be read in two ways, or one whose tensors or functions
            lie elsewhere than in it.
    """
    try:
        model = parse(_bytes(path))
        return _facts(model, str(path))
    except ProtobufError as error:
        raise ArtifactError(f"cannot read {path} as ONNX: {error}") from error


def _bytes(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) >= _MOST_BYTES:
            raise ArtifactError(f"{path} has {size} bytes: ONNX files end at {_MOST_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error


def _facts(model: Message, origin: str) -> FileFacts:
    graph = model.message("graph")
    if graph is None or not (graph.messages("node") or graph.messages("output")):
        raise ArtifactError(f"{origin} is no ONNX model: it has no graph")
    every(model, lambda part: _require_inside(part, origin))
    opset, ir_version = _opset(model, "the model"), model.number("ir_version") or 0
    every(model, lambda part: require_once(part, ir_version))
    metadata = unambiguous(
        ((entry.text("key"), entry.text("value")) for entry in model.messages("metadata_props")), origin
    )
    stored = [tensor for key in (INPUTS, OUTPUTS) for tensor in tensors_from(metadata, key, origin)]
    layouts = {tensor.name: tensor.layout for tensor in stored}
    constants = {tensor.text("name") for tensor in graph.messages("initializer")}
    operators = _operators(model, opset)
    names = [operator.name for operator in operators]
    return FileFacts(
        format=Format.ONNX,
        inputs=tuple(
            _tensor(value, layouts) for value in graph.messages("input") if value.text("name") not in constants
        ),
        outputs=tuple(_tensor(value, layouts) for value in graph.messages("output")),
        operators=operators,
        weights=elements_by_dtype(model),
        requires=f"ONNX Runtime >= {lowest_runtime(opset, ir_version, names)} (opset {opset}, IR {ir_version})",
        metadata={
            **metadata,
            GRAPH: graph.text("name"),
            DESCRIPTION: model.text("doc_string"),
            "opset": str(opset),
            "ir_version": str(ir_version),
            "producer": f"{model.text('producer_name')} {model.text('producer_version')}".strip(),
        },
    )


def _require_inside(part: Message, origin: str) -> None:
    """Refuse what is not in the file itself, or is not what it seems.

    Raises:
        ArtifactError: Says what, and where it is said to be.
    """
    if part.kind == "Tensor" and (part.number("data_location") or part.messages("external_data")):
        places = [entry.text("value") for entry in part.messages("external_data") if entry.text("key") == "location"]
        raise ArtifactError(
            f"{origin}: the tensor {part.text('name')!r:.80} lies outside of the file, in "
            f"{', '.join(map(repr, places))[:200] or 'an unnamed place'}: nothing would notice if that changed",
            hint="save the model with all tensors inside",
        )
    if part.kind == "Function" and part.text("domain") in _OWN:
        raise ArtifactError(f"{origin} makes a function of its own of the operator {part.text('name')!r:.80}")
    if part.kind == "Training":
        raise ArtifactError(f"{origin} holds graphs for training it: nothing here reads them")
    if part.kind == "StringStringEntry" and part.text("key") == "ort_config":
        raise ArtifactError(f"{origin} holds settings for ONNX Runtime ('ort_config'), which could make it write files")


def _opset(owner: Message, what: str) -> int:
    """The version of the default domain; 0 where it does not say one.

    Raises:
        ProtobufError: It says two.
    """
    found = [entry for entry in owner.messages("opset_import") if entry.text("domain") in _OWN]
    if len(found) > 1:
        raise ProtobufError(f"{what} imports the default domain {len(found)} times")
    return found[0].number("version") or 0 if found else 0


def module_of_name(name: str) -> str:
    """The network's module in a node's or tensor's name: ``/a/b/softmax/Softmax`` is of ``a.b``; "" if none."""
    if not name.startswith("/"):
        return ""
    return ".".join(name.split("/")[1:-2])


def _nodes(graph: Message, opset: int) -> Iterator[tuple[Message, Message, int]]:
    """Each node with the graph that it is in and its opset, those of the graphs inside of nodes included."""
    waiting = [graph]
    while waiting:
        current = waiting.pop()
        for node in current.messages("node"):
            yield node, current, opset
            for attribute in node.messages("attribute"):
                waiting += [*attribute.messages("g"), *attribute.messages("graphs")]


def _operators(model: Message, opset: int) -> tuple[Operator, ...]:
    graph = model.message("graph")
    bodies = [(graph, opset)] if graph else []
    bodies += [
        (body, _opset(body, f"the function {body.text('name')!r:.80}") or opset) for body in model.messages("functions")
    ]
    modules: dict[tuple[str, str, int, str | None], list[str]] = defaultdict(list)
    off: dict[int, set[str]] = {}
    for body, version in bodies:
        for node, place, its in _nodes(body, version):
            domain = "" if node.text("domain") in _OWN else node.text("domain")
            name = node.text("op_type")
            why_not = why_not_standard(name, domain, its) or _why_not_as_called(node, place, off)
            modules[domain, name, its, why_not].append(module_of_name(node.text("name")))
    rows = sorted(modules.items(), key=lambda row: (-len(row[1]), row[0][:3], row[0][3] or ""))
    return tuple(_operator(*key, len(found), tuple(sorted({*found} - {""}))) for key, found in rows)


def _operator(
    domain: str, name: str, opset: int, why_not: str | None, count: int, modules: tuple[str, ...]
) -> Operator:
    full = f"{domain}::{name}" if domain else name
    version = None if domain else version_in(name, opset)
    if why_not is not None or version is None:
        return Operator(name=full, count=count, standard=False, why_not=why_not, modules=modules)
    return Operator(name=full, count=count, version=version, since=lowest_runtime(version), modules=modules)


def _why_not_as_called(node: Message, graph: Message, off: dict[int, set[str]]) -> str | None:
    """Why a standard operator must not be called in this way; ``off`` keeps what was found out of each graph."""
    inputs = node.texts("input")
    if node.text("op_type") != "Dropout" or len(inputs) <= _TRAINING_INPUT or not inputs[_TRAINING_INPUT]:
        return None
    if id(graph) not in off:
        off[id(graph)] = _zeros(graph)
    return None if inputs[_TRAINING_INPUT] in off[id(graph)] else "it is told to draw random numbers, or may be"


def _zeros(graph: Message) -> set[str]:
    """The names of constants that are 0 or False."""
    named = [(tensor.text("name"), tensor) for tensor in graph.messages("initializer")]
    for node in graph.messages("node"):
        if node.text("op_type") == "Constant":
            held = [attribute.message("t") for attribute in node.messages("attribute")]
            named += [(name, tensor) for name in node.texts("output") for tensor in held if tensor is not None]
    data = {name: [*tensor.fields.get("raw_data", ()), *tensor.fields.get("int32_data", ())] for name, tensor in named}
    return {
        name
        for name, chunks in data.items()
        if chunks and all(isinstance(chunk, bytes) and not chunk.strip(b"\0") for chunk in chunks)
    }


def _tensor(value: Message, layouts: dict[str, Layout | None]) -> TensorSpec:
    kind = (value.message("type") or Message("Type")).message("tensor_type") or Message("TensorType")
    sizes = (kind.message("shape") or Message("Shape")).messages("dim")
    shape = tuple(-1 if (size := axis.number("dim_value")) is None else size for axis in sizes)
    name, code = value.text("name"), kind.number("elem_type") or 0
    if any(size < 0 for axis in sizes if (size := axis.number("dim_value")) is not None):
        raise ProtobufError(f"the tensor {name!r:.80} has the shape {shape}")
    dtype = DTYPES.get(code, f"type {code}") if code else "unknown"
    return TensorSpec(name=name, shape=shape, dtype=dtype, layout=layouts.get(name))
