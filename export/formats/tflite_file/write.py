"""Write TFLite (``.tflite``) with litert-torch."""

from __future__ import annotations

import copy
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import ExportError, first_line
from edgevit.spec import Task
from export.formats.failing_layers import layers_in, mark
from export.formats.metadata import PREFIX, artifact_metadata
from export.formats.tflite_file.half import halved
from export.formats.tflite_file.layer_marks import marked_path
from export.formats.tflite_file.metadata import ENTRY, append_labels, model_metadata
from export.formats.tflite_file.quantize import quantized
from export.formats.tflite_file.quick_conversion import quick_conversion
from export.program import Program
from export.recipe import Precision, Recipe

if TYPE_CHECKING:
    from litert_torch.model import Model
    from torch import Tensor, nn

_WIDE = {"int64", "float64"}


def write(program: Program, recipe: Recipe, path: Path) -> None:
    """Convert ``program`` and write the file, with its metadata inside.

    The file has one signature, ``serving_default``, whose inputs and outputs carry the names of the spec. Tensors are
    named after the modules of the network that they came from. The same program gives the same bytes. Other precisions
    are made from the finished float32 file.

    Raises:
        ExportError: litert-torch refused the program, or cannot write the name of an input; a layer cannot be made what
            the recipe's precision asks for.
    """
    layers = program.quantization.layers if program.quantization and recipe.precision is Precision.INT8 else ()
    model = _convert(program, frozenset(layers))
    _set_metadata(model, program, recipe)
    content = model.model_content()  # LLVM, which would write the file, ends the process where the disk is full
    if recipe.precision is Precision.FP16:
        content = halved(content, program)
    elif recipe.precision is Precision.INT8:
        content = quantized(content, program)
    path.write_bytes(content)
    if program.spec.labels and program.spec.task is Task.CLASSIFY:
        append_labels(path, program.spec.labels)


def _convert(program: Program, marked: frozenset[str]) -> Model:
    import litert_torch

    names = [tensor.name for tensor in program.inputs]
    if odd := [name for name in names if not name.isidentifier() or iskeyword(name)]:
        raise ExportError(
            f"tflite cannot have an input '{odd[0]}': litert-torch takes names that a variable of Python can have",
            hint="spec_for(model, example, input_names=[...]) gives other ones",
        )
    wide = any(tensor.dtype in _WIDE for tensor in (*program.inputs, *program.outputs))
    try:
        with quick_conversion():
            return litert_torch.convert(
                _named_module(program, marked),
                sample_kwargs=dict(zip(names, program.example, strict=True)),
                enable_x64=wide,
            )
    except Exception as error:  # the converter raises whatever MLIR, jax or torch raise
        where = layers_in(program, error)
        reason = first_line(error)
        raise ExportError(f"litert-torch cannot convert {program.spec.name} to tflite{where}: {reason}") from error


def _named_module(program: Program, marked: frozenset[str]) -> nn.Module:
    """The program as a module that takes its inputs by name and returns a dict of its outputs.

    litert-torch makes the names of the signature from keywords and dict keys, and the names of tensors from
    ``nn_module_stack``, of which it keeps class and last path component only: a stack of one entry whose "class" is
    the whole path gives tensors named ``blocks1/0/attn/qkv;``. The calls of ``marked`` have their own name in it too.
    """
    import torch
    from torch.fx.traceback import preserve_node_meta

    module = torch.fx.GraphModule(program.module, copy.deepcopy(program.module.graph)).eval()
    for place, node in enumerate(module.graph.nodes):
        if node.op not in {"placeholder", "output"}:
            mark(node, place)
            node.meta["nn_module_stack"] = {"module": ("", marked_path(node, marked))}
    names = [tensor.name for tensor in program.outputs]

    class Named(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
            with preserve_node_meta():
                results = torch.fx.Interpreter(self.module).run(*inputs.values())
            return dict(zip(names, results if isinstance(results, tuple) else (results,), strict=True))

    return Named().eval()


def _set_metadata(model: Model, program: Program, recipe: Recipe) -> None:
    """Hand the metadata to the converter's own FlatBuffer writer, which takes it as an attribute of the MLIR module."""
    from litert_converter.mlir import ir  # type: ignore[import-untyped]

    texts = artifact_metadata(program.spec, recipe, program.inputs, program.outputs, program.layers)
    entries: dict[str, str | bytes] = {PREFIX + key: text for key, text in texts.items()}
    entries[ENTRY] = model_metadata(program.spec, program.inputs, program.outputs)
    operation = model._exporter._module_op
    with operation.context:
        attributes = {key: ir.StringAttr.get(value) for key, value in sorted(entries.items())}
        operation.attributes["tfl.metadata"] = ir.DictAttr.get(attributes)
