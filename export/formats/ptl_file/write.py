"""Write TorchScript lite (``.ptl``): trace, freeze, save for PyTorch Mobile's lite interpreter."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import ExportError, first_line
from export.formats.failing_layers import layers_in
from export.formats.metadata import artifact_metadata
from export.formats.ptl_file.canonical import canonical, records_of
from export.formats.ptl_file.pack import packed
from export.formats.ptl_file.prepacked import KINDS, OPERATOR, Packed
from export.formats.ptl_file.read import MODULES
from export.program import Program
from export.recipe import Recipe

if TYPE_CHECKING:
    import torch


def write(program: Program, recipe: Recipe, path: Path) -> None:
    """Write ``program`` as TorchScript lite; equal programs and recipes give equal bytes.

    Raises:
        ExportError: The program cannot be traced or saved.
    """
    from export.formats.steps import modules_by_operator, trace

    try:
        frozen = trace(program)
        data: bytes = frozen._save_to_buffer_for_lite_interpreter()
        if recipe.ptl_bytecode is not None:
            data = _backport(data, recipe.ptl_bytecode)
        records = records_of(data)
        if recipe.ptl_prepacked:
            records = packed(records)
    except Exception as error:
        where = layers_in(program, error)
        raise ExportError(
            f"cannot write {program.spec.name} as TorchScript lite{where}: {first_line(error)}"
        ) from error
    extra = artifact_metadata(program.spec, recipe, program.inputs, program.outputs)
    extra[MODULES] = json.dumps(modules_by_operator(frozen, _operator))
    path.write_bytes(canonical(records, extra, recipe.ptl_bytecode))


def _operator(node: torch.Node) -> str:
    """The operator that stands in the file for ``node``."""
    name = node.kind()
    if name != OPERATOR:
        return name
    return KINDS[Packed.from_json(str(node.inputsAt(3).toIValue()), origin=name).kind].operator


def _backport(data: bytes, version: int) -> bytes:
    from torch.jit.mobile import _backport_for_mobile_to_buffer

    with tempfile.NamedTemporaryFile(suffix=".ptl") as file:
        file.write(data)
        file.flush()
        backported: bytes = _backport_for_mobile_to_buffer(file.name, version)  # type: ignore[no-untyped-call]
    return backported
