"""``inspect FILE``: what an artifact holds, read from the file alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from edgevit.errors import ArtifactError, UsageError
from edgevit.spec import TensorSpec
from edgevit_export.commands.options import AsJson
from edgevit_export.console import format_bytes, print_line, print_record, print_table
from export.artifact import FileFacts, Operator
from export.formats.table import FORMATS, format_of, read_artifact

_METADATA_CHARS = 300  # chosen, because four lines of a terminal show what a value is


@dataclass(frozen=True)
class InspectOptions:
    """The options of ``inspect``."""

    file: Annotated[Path, typer.Argument(help="A .ptl, .onnx, .tflite or .pte file.")]
    as_json: AsJson = False


def read_facts(path: Path) -> FileFacts:
    """The facts in the artifact at ``path``; its suffix says the format.

    Raises:
        UsageError: No such file, or a suffix that no format has.
        ArtifactError: The file is not what its suffix says.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a directory, expected one artifact", hint=f"edgevit-export verify {path}")
    format = format_of(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="edgevit-export --variant s writes artifacts/")
    if path.stat().st_size == 0:
        raise ArtifactError(f"{path} is empty: expected a {FORMATS[format].title} file")
    return read_artifact(path, format)


def inspect(options: InspectOptions) -> None:
    """Show what an artifact holds."""
    facts = read_facts(options.file)
    if options.as_json:
        print_record(facts)
        return
    size = format_bytes(options.file.stat().st_size)
    print_line(f"{options.file}: {FORMATS[facts.format].title}, {size}")
    print_line(f"needs {facts.requires}")
    print_line()
    rows = [_tensor_row("input", tensor) for tensor in facts.inputs]
    rows += [_tensor_row("output", tensor) for tensor in facts.outputs]
    print_table(("", "name", "shape", "type", "layout"), rows)
    print_line()
    print_table(
        ("operator", "count", "version", "since", "standard"),
        [_operator_row(operator) for operator in sorted(facts.operators, key=lambda row: (-row.count, row.name))],
        title=f"{facts.operator_count} operators of {len(facts.operators)} kinds",
        right=("count", "version"),
    )
    if facts.metadata:
        print_line()
        rows = [(key, _shorten(value)) for key, value in sorted(facts.metadata.items())]
        print_table(("metadata", "value"), rows)


def _tensor_row(kind: str, tensor: TensorSpec) -> tuple[str, ...]:
    shape = "x".join("N" if size < 0 else str(size) for size in tensor.shape)
    return (kind, tensor.name, shape, tensor.dtype, tensor.layout or "")


def _operator_row(operator: Operator) -> tuple[str, ...]:
    standard = "yes" if operator.standard else f"no: {operator.why_not}"
    version = "" if operator.version is None else str(operator.version)
    return (operator.name, str(operator.count), version, operator.since or "", standard)


def _shorten(value: str) -> str:
    flat = " ".join(value.split())
    if len(flat) <= _METADATA_CHARS:
        return flat
    return f"{flat[:_METADATA_CHARS]}… ({len(value)} characters, all with --json)"
