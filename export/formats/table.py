"""The formats as data. A new one costs a ``Format`` member, a row here, its folder, and a row in ``runtimes.sessions``.

The rows name functions by import string, loaded on first use, so that this table can be read without torch:

- ``checker``: ``(Recipe) -> None`` refuses, before any work, a recipe that the exporter cannot write.
- ``exporter``: ``(Program, Recipe, Path) -> None`` writes the file (the path given is temporary).
- ``reader``: ``(Path) -> FileFacts`` reads names, shapes, operators and metadata back from the file alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from edgevit.errors import MissingDependencyError, unknown_choice
from export.recipe import Format

if TYPE_CHECKING:
    from pathlib import Path

    from export.artifact import FileFacts
    from export.recipe import Recipe


@dataclass(frozen=True)
class FormatRow:
    """What the tool knows about one format without importing anything heavy.

    ``export_modules`` must all be importable to export; ``extra`` is the name of the pip extra that brings them.
    ``slow`` converters take longer than all the rest of an export.
    """

    format: Format
    title: str
    aliases: tuple[str, ...]
    exporter: str
    reader: str
    export_modules: tuple[str, ...]
    extra: str
    checker: str | None = None
    slow: bool = False


FORMATS: dict[Format, FormatRow] = {
    row.format: row
    for row in (
        FormatRow(
            format=Format.PTL,
            title="TorchScript lite",
            aliases=("torchscript", "pytorch", "torchscript-lite"),
            exporter="export.formats.ptl_file.write:write",
            reader="export.formats.ptl_file.write:read",
            export_modules=("torch",),
            extra="ptl",
            checker="export.formats.ptl_file.write:check_recipe",
        ),
        FormatRow(
            format=Format.ONNX,
            title="ONNX",
            aliases=("ort", "onnxruntime"),
            exporter="export.formats.onnx_file.write:write",
            reader="export.formats.onnx_file.write:read",
            export_modules=("torch", "onnx", "onnxsim"),
            extra="onnx",
            checker="export.formats.onnx_file.write:check_recipe",
        ),
        FormatRow(
            format=Format.TFLITE,
            title="TFLite",
            aliases=("litert", "tf-lite"),
            exporter="export.formats.tflite_file.write:write",
            reader="export.formats.tflite_file.write:read",
            export_modules=("torch", "litert_torch"),
            extra="tflite",
            slow=True,
        ),
        FormatRow(
            format=Format.PTE,
            title="ExecuTorch",
            aliases=("executorch",),
            exporter="export.formats.pte_file.write:write",
            reader="export.formats.pte_file.write:read",
            export_modules=("torch", "executorch"),
            extra="executorch",
            slow=True,
        ),
    )
}


def parse_format(name: str) -> Format:
    """The format called ``name``, by its own name or an alias, in any case.

    Raises:
        UsageError: No format has that name; lists the choices and the closest match.
    """
    lowered = name.strip().lower().lstrip(".")
    for row in FORMATS.values():
        if lowered == row.format.value or lowered in row.aliases:
            return row.format
    raise unknown_choice("format", name, [row.format.value for row in FORMATS.values()])


def load(import_string: str) -> Callable[..., Any]:
    """The function that ``"package.module:function"`` names."""
    module, _, function = import_string.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def read_artifact(path: Path, format: Format) -> FileFacts:
    """What stands in an artifact, read from the file alone; nothing of it is run.

    Raises:
        ArtifactError: The file is not of that format.
        MissingDependencyError: The reader needs a package that is not installed.
    """
    facts: FileFacts = load(FORMATS[format].reader)(path)
    return facts


def missing_for_export(format: Format) -> tuple[str, ...]:
    """Top-level modules that exporting ``format`` needs and that are not installed."""
    return tuple(name for name in FORMATS[format].export_modules if find_spec(name) is None)


def require_export(format: Format) -> None:
    """Refuse early, before any work, when ``format`` cannot be exported here.

    Raises:
        MissingDependencyError: Names the modules and the extra that brings them.
    """
    if missing := missing_for_export(format):
        extra = FORMATS[format].extra
        raise MissingDependencyError(
            f"cannot export {format}: {', '.join(missing)} not installed",
            hint=f"pip install 'edgevit-export[{extra}]'",
        )


def check_recipe(recipe: Recipe) -> None:
    """Refuse early, before any work, a recipe that its format cannot be written by.

    Raises:
        UsageError: Says what the format can.
    """
    checker = FORMATS[recipe.format].checker
    if checker is not None:
        load(checker)(recipe)
