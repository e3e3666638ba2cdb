"""ONNX (``.onnx``): export, simplify, name by module, check; read a file back without torch.

The TorchScript-based exporter writes every opset below; the newer one only 18 and up, and its conversion downwards
leaves the network at 18. It records no source, so ``Steps`` gives every node the network's module in its name:
``/stages/1/blocks/0/attn/softmax/Softmax``.
"""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import ArtifactError, ExportError, MissingDependencyError, UsageError, first_line
from edgevit.spec import Layout, TensorSpec
from export.artifact import FileFacts, Operator
from export.formats.metadata import INPUTS, OUTPUTS, artifact_metadata, tensor_metadata, tensors_from
from export.formats.onnx_file.graph import (
    all_nodes,
    constants_to_initializers,
    module_of_name,
    name_by_module,
    weight_paths,
)
from export.formats.onnx_file.versions import OPSETS, lowest_runtime, runtime_for_opset
from export.program import Program
from export.recipe import Format, Recipe

if TYPE_CHECKING:
    import onnx

DEFAULT_OPSET = 17
BATCH = "batch"


def write(program: Program, recipe: Recipe, path: Path) -> None:
    """Write ``program`` as ONNX; equal programs and recipes give equal bytes.

    Raises:
        UsageError: The recipe asks for an opset that cannot be written.
        ExportError: An operator has no ONNX form, or the written file does not pass the checker.
    """
    check_recipe(recipe)
    converted = _convert(program, _opset(recipe))
    model = _simplify(converted, program)
    constants_to_initializers(model)
    name_by_module(model, weight_paths(converted))
    _describe(model, program, recipe)
    _check(model, program)
    path.write_bytes(model.SerializeToString(deterministic=True))


def check_recipe(recipe: Recipe) -> None:
    """Refuse an opset that cannot be written.

    Raises:
        UsageError: Names those that can.
    """
    opset = _opset(recipe)
    if opset not in OPSETS:
        raise UsageError(
            f"opset {opset} for onnx: choose from {OPSETS.start} to {OPSETS.stop - 1}",
            hint=f"--opset {min(max(opset, OPSETS.start), OPSETS.stop - 1)}",
        )


def _opset(recipe: Recipe) -> int:
    return DEFAULT_OPSET if recipe.opset is None else recipe.opset


def _convert(program: Program, opset: int) -> onnx.ModelProto:
    import onnx
    import torch

    from export.formats.steps import Steps

    names = [tensor.name for tensor in (*program.inputs, *program.outputs)]
    buffer = io.BytesIO()
    try:
        torch.onnx.export(
            Steps(program),
            program.example,
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=opset,
            input_names=names[: len(program.inputs)],
            output_names=names[len(program.inputs) :],
            dynamic_axes={name: {0: BATCH} for name in names} if program.dynamic_batch else None,
        )
    except Exception as error:
        raise ExportError(f"cannot write {program.spec.name} as ONNX opset {opset}: {first_line(error)}") from error
    model: onnx.ModelProto = onnx.load_from_string(buffer.getvalue())
    return model


def _simplify(model: onnx.ModelProto, program: Program) -> onnx.ModelProto:
    import onnxsim

    try:
        simplified, _ = onnxsim.simplify(model)
    except Exception as error:
        raise ExportError(f"onnxsim failed on {program.spec.name}: {error}") from error
    result: onnx.ModelProto = simplified
    return result


def _describe(model: onnx.ModelProto, program: Program, recipe: Recipe) -> None:
    """Set the lowest IR version that the opset allows, and the metadata."""
    import onnx

    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    model.graph.name = program.spec.name
    model.doc_string = f"{program.spec.name}; weights: {program.spec.weights.describe()}"
    for node in model.graph.node:
        node.ClearField("doc_string")
    onnx.helper.set_model_props(model, {**artifact_metadata(program.spec, recipe), **tensor_metadata(program)})


def _check(model: onnx.ModelProto, program: Program) -> None:
    """Run the full checker with shape inference, and compare inputs and outputs with the program's."""
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:
        raise ExportError(f"the ONNX checker refuses {program.spec.name}: {error}") from error
    for kind, values, expected in (
        ("input", model.graph.input, program.inputs),
        ("output", model.graph.output, program.outputs),
    ):
        seen = [_tensor(value) for value in values]
        wanted = [(tensor.name, tensor.shape, tensor.dtype) for tensor in expected]
        if [(tensor.name, tensor.shape, tensor.dtype) for tensor in seen] != wanted:
            raise ExportError(
                f"{program.spec.name} as ONNX has the {kind}s "
                f"{[(tensor.name, tensor.shape, tensor.dtype) for tensor in seen]}, expected {wanted}"
            )


def read(path: Path) -> FileFacts:
    """Read names, shapes, operators and metadata back from the file alone; needs the onnx package, not torch.

    Raises:
        MissingDependencyError: onnx is not installed.
        ArtifactError: Not a complete ONNX file.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"cannot read the operators of {path}: onnx is not installed", hint="pip install 'onnx>=1.17'"
        ) from error
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise ArtifactError(f"cannot read {path} as ONNX: {error}") from error
    if not model.graph.node and not model.graph.output:
        raise ArtifactError(f"{path} is no ONNX model: it has no graph")
    return _facts(model, str(path))


def _facts(model: onnx.ModelProto, origin: str) -> FileFacts:
    opset = max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    inside = {tensor.name: tensor.layout for key in (INPUTS, OUTPUTS) for tensor in tensors_from(metadata, key, origin)}
    constants = {tensor.name for tensor in model.graph.initializer}
    return FileFacts(
        format=Format.ONNX,
        inputs=tuple(_tensor(value, inside) for value in model.graph.input if value.name not in constants),
        outputs=tuple(_tensor(value, inside) for value in model.graph.output),
        operators=_operators(model, opset),
        requires=f"ONNX Runtime >= {lowest_runtime(opset, model.ir_version)} (opset {opset}, IR {model.ir_version})",
        metadata={
            **metadata,
            "opset": str(opset),
            "ir_version": str(model.ir_version),
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
        },
    )


def _operators(model: onnx.ModelProto, opset: int) -> tuple[Operator, ...]:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    modules: dict[tuple[str, str], set[str]] = defaultdict(set)
    for node in all_nodes(model):
        domain = "" if node.domain == "ai.onnx" else node.domain
        counts[domain, node.op_type] += 1
        if module := module_of_name(node.name):
            modules[domain, node.op_type].add(module)
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    return tuple(_operator(*key, count, opset, tuple(sorted(modules[key]))) for key, count in rows)


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
    return Operator(name=name, count=count, version=version, since=runtime_for_opset(version), modules=modules)


def _tensor(value: onnx.ValueInfoProto, layouts: dict[str, Layout | None] | None = None) -> TensorSpec:
    import onnx

    kind = value.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in kind.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name if kind.elem_type else "unknown"
    return TensorSpec(name=value.name, shape=shape, dtype=dtype, layout=(layouts or {}).get(value.name))
