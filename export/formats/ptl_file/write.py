"""Write TorchScript lite (``.ptl``): trace, freeze, save for PyTorch Mobile's lite interpreter."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import ExportError, first_line
from export.formats.failing_layers import layers_in
from export.formats.metadata import artifact_metadata
from export.formats.ptl_file.canonical import canonical, records_of
from export.formats.ptl_file.narrow.quantized import KINDS as INT8_KINDS
from export.formats.ptl_file.narrow.quantized import OPERATOR as INT8_OPERATOR
from export.formats.ptl_file.narrow.quantized import Quantized
from export.formats.ptl_file.narrow.widen import Int8, Widening
from export.formats.ptl_file.pack import packed
from export.formats.ptl_file.prepacked import KINDS, OPERATOR, Packed
from export.formats.ptl_file.read import MODULES
from export.program import Program
from export.recipe import Optimize, Precision, Recipe

if TYPE_CHECKING:
    import torch


def write(program: Program, recipe: Recipe, path: Path) -> None:
    """Write ``program`` as TorchScript lite; equal programs and recipes give equal bytes.

    Raises:
        ExportError: The program cannot be traced or saved.
    """
    from export.formats.steps import modules_by_operator, trace

    if recipe.ptl_prepacked and recipe.precision is not Precision.FP32:
        raise ExportError(f"prepacked weights are float32, not {recipe.precision}", hint="leave one of both out")
    program, narrow = _with_int8(program, recipe) if recipe.precision is Precision.INT8 else (program, {})
    try:
        with warnings.catch_warnings(action="ignore"):  # uint8 tensors are deprecated, but not in PyTorch Mobile
            frozen = trace(program, fold=recipe.precision is not Precision.INT8)
        data: bytes = frozen._save_to_buffer_for_lite_interpreter()
        if recipe.ptl_bytecode is not None:
            data = _backport(data, recipe.ptl_bytecode)
        records = _packed(records_of(data), recipe, _class_of(frozen), narrow)
    except ExportError:
        raise
    except Exception as error:
        where = layers_in(program, error)
        raise ExportError(
            f"cannot write {program.spec.name} as TorchScript lite{where}: {first_line(error)}"
        ) from error
    extra = artifact_metadata(program.spec, recipe, program.inputs, program.outputs, program.layers)
    extra[MODULES] = json.dumps(modules_by_operator(frozen, _operator))
    path.write_bytes(canonical(records, extra, recipe.ptl_bytecode))


def _with_int8(program: Program, recipe: Recipe) -> tuple[Program, dict[str, Int8]]:
    """The program with its layers in int8, and the weights that are to be stored so and widened again."""
    from export.formats.ptl_file.narrow.quantize import Rewriting
    from export.formats.ptl_file.narrow.writing import let_write
    from export.graph_editor import GraphEditor

    if program.quantization is None:
        raise ExportError(f"{program.spec.name} is to be int8, but nothing says which of its layers")
    editor = GraphEditor(program.module)
    rewriting = Rewriting(editor, program.quantization)
    rewriting.run()
    if recipe.optimize is Optimize.FULL:
        let_write(editor, recipe.ptl_bytecode)
    return dataclasses.replace(program, module=editor.finish()), rewriting.stored


def _packed(records: dict[str, bytes], recipe: Recipe, kind: str, narrow: dict[str, Int8]) -> dict[str, bytes]:
    """The records with packed and narrow weights, where the recipe asks for such.

    Raises:
        ExportError: Weights that are to be int8 are not in the program as it was frozen.
    """
    if recipe.precision is Precision.FP32:
        return packed(records) if recipe.ptl_prepacked else records
    folder = "bytecode/" if any(name.startswith("bytecode/") for name in records) else "constants/"
    halves = recipe.precision is Precision.FP16
    widening = Widening(kind, lambda key: records[folder + key], halves=halves, int8=narrow)
    records = packed(records, widening)
    if lost := len(narrow.keys() - widening.found):
        raise ExportError(f"the weights of {lost} layers that are to be int8 are not in the program")
    return records


def _class_of(frozen: torch.jit.ScriptModule) -> str:
    name: str = frozen._c._type().qualified_name()
    return name


def _operator(node: torch.Node) -> str:
    """The operator that stands in the file for ``node``."""
    name = node.kind()
    if name == OPERATOR:
        return KINDS[Packed.from_json(str(node.inputsAt(3).toIValue()), origin=name).kind].operator
    if name == INT8_OPERATOR:
        return INT8_KINDS[Quantized.from_json(str(node.inputsAt(4).toIValue()), origin=name).kind].operator
    return name


def _backport(data: bytes, version: int) -> bytes:
    from torch.jit.mobile import _backport_for_mobile_to_buffer

    with tempfile.NamedTemporaryFile(suffix=".ptl") as file:
        file.write(data)
        file.flush()
        backported: bytes = _backport_for_mobile_to_buffer(file.name, version)  # type: ignore[no-untyped-call]
    return backported
