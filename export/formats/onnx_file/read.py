"""Read an ``.onnx`` file: names, shapes, operators and metadata; needs the package onnx, not torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import ArtifactError, MissingDependencyError
from edgevit.spec import Layout, TensorSpec
from export.artifact import FileFacts, Operator
from export.formats.metadata import INPUTS, OUTPUTS, tensors_from, unambiguous
from export.formats.onnx_file.metadata import DESCRIPTION, GRAPH
from export.formats.onnx_file.versions import lowest_runtime
from export.recipe import Format

if TYPE_CHECKING:
    import onnx


def read(path: Path) -> FileFacts:
    """Read names, shapes, operators and metadata from the file alone.

    Raises:
        MissingDependencyError: onnx is not installed.
        ArtifactError: Not a complete ONNX file, or one with two entries of metadata under one key.
    """
    model = _load(path)
    opset = max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0)
    metadata = unambiguous(((entry.key, entry.value) for entry in model.metadata_props), str(path))
    stored = [tensor for key in (INPUTS, OUTPUTS) for tensor in tensors_from(metadata, key, str(path))]
    layouts = {tensor.name: tensor.layout for tensor in stored}
    constants = {tensor.name for tensor in model.graph.initializer}
    return FileFacts(
        format=Format.ONNX,
        inputs=tuple(_tensor(value, layouts) for value in model.graph.input if value.name not in constants),
        outputs=tuple(_tensor(value, layouts) for value in model.graph.output),
        operators=_operators(model, opset),
        requires=f"ONNX Runtime >= {lowest_runtime(opset, model.ir_version)} (opset {opset}, IR {model.ir_version})",
        metadata={
            **metadata,
            GRAPH: model.graph.name,
            DESCRIPTION: model.doc_string,
            "opset": str(opset),
            "ir_version": str(model.ir_version),
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
        },
    )


def _load(path: Path) -> onnx.ModelProto:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"cannot read the operators of {path}: onnx is not installed", packages=("onnx>=1.17",)
        ) from error
    try:
        model: onnx.ModelProto = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise ArtifactError(f"cannot read {path} as ONNX: {error}") from error
    if not model.graph.node and not model.graph.output:
        raise ArtifactError(f"{path} is no ONNX model: it has no graph")
    return model


def module_of_name(name: str) -> str:
    """The network's module in a node's or tensor's name: ``/a/b/softmax/Softmax`` is of ``a.b``; "" if none."""
    if not name.startswith("/"):
        return ""
    return ".".join(name.split("/")[1:-2])


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """These nodes, and those of the graphs inside of them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _operators(model: onnx.ModelProto, opset: int) -> tuple[Operator, ...]:
    modules: dict[tuple[str, str], list[str]] = defaultdict(list)
    for node in _nodes(chain(model.graph.node, *(function.node for function in model.functions))):
        domain = "" if node.domain == "ai.onnx" else node.domain
        modules[domain, node.op_type].append(module_of_name(node.name))
    rows = sorted(modules.items(), key=lambda row: (-len(row[1]), row[0]))
    return tuple(_operator(*key, len(found), opset, tuple(sorted({*found} - {""}))) for key, found in rows)


def _operator(domain: str, name: str, count: int, opset: int, modules: tuple[str, ...]) -> Operator:
    import onnx

    if domain:
        why_not = f"of the domain '{domain}': not every ONNX runtime has it"
        return Operator(name=f"{domain}::{name}", count=count, standard=False, why_not=why_not, modules=modules)
    try:
        schema = onnx.defs.get_schema(name, max_inclusive_version=opset)
    except onnx.defs.SchemaError:
        return Operator(name=name, count=count, standard=False, why_not=f"not in opset {opset}", modules=modules)
    if schema.deprecated:
        return Operator(name=name, count=count, standard=False, why_not=f"dropped in opset {opset}", modules=modules)
    version = schema.since_version
    return Operator(name=name, count=count, version=version, since=lowest_runtime(version), modules=modules)


def _tensor(value: onnx.ValueInfoProto, layouts: dict[str, Layout | None]) -> TensorSpec:
    import onnx

    kind = value.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in kind.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name if kind.elem_type else "unknown"
    return TensorSpec(name=value.name, shape=shape, dtype=dtype, layout=layouts.get(value.name))
