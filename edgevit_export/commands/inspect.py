"""``inspect FILE``: what an artifact holds, read from the file, and how it came about, from the manifest beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from edgevit.errors import ArtifactError, UsageError
from edgevit.records import sha256_file
from edgevit.spec import TensorSpec
from edgevit_export.commands.options import AsJson
from edgevit_export.console import format_bytes, print_line, print_record, print_shortfalls, print_table
from export.artifact import Delegation, FileFacts, Manifest, Operator, PassLog, optimised
from export.formats.table import FORMATS, format_of, read_artifact
from export.manifest import load_manifest, manifest_path

_METADATA_CHARS = 300  # chosen, because four lines of a terminal show what a value is


@dataclass(frozen=True)
class InspectOptions:
    """The options of ``inspect``."""

    file: Annotated[Path, typer.Argument(help="A .ptl, .onnx, .tflite or .pte file.")]
    as_json: AsJson = False


class Inspection(FileFacts):
    """The facts of a file, and what the manifest beside it says of the export: how it was optimised and delegated.

    ``manifest`` is that manifest's path. Without one all that it would say is empty; ``manifest_problem`` says why one
    that is there was not believed.
    """

    schema_version: Literal[1] = 1
    manifest: str | None = None
    manifest_problem: str | None = None
    optimised: str | None = None
    passes: tuple[PassLog, ...] = ()
    delegation: Delegation | None = None
    shortfalls: tuple[str, ...] = ()


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
    inspection = _inspection(options.file, facts)
    if options.as_json:
        print_record(inspection)
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
    _print_export(inspection)


def _inspection(path: Path, facts: FileFacts) -> Inspection:
    """``facts`` with what the manifest beside ``path`` adds, if there is one and it speaks of this very file."""
    beside, problem = manifest_path(path), None
    manifest: Manifest | None = None
    if beside.is_file():
        try:
            manifest = load_manifest(beside)
            if (manifest.file, manifest.sha256) != (path.name, sha256_file(path)):
                manifest, problem = None, f"{beside.name} speaks of another file: the name or the SHA-256 differs"
        except ArtifactError as error:
            problem = error.message
    return Inspection(
        format=facts.format,
        inputs=facts.inputs,
        outputs=facts.outputs,
        operators=facts.operators,
        requires=facts.requires,
        metadata=facts.metadata,
        manifest=str(beside) if manifest else None,
        manifest_problem=problem,
        optimised=optimised(manifest.recipe, manifest.passes) if manifest else None,
        passes=manifest.passes if manifest else (),
        delegation=manifest.delegation if manifest else None,
        shortfalls=manifest.shortfalls() if manifest else (),
    )


def _print_export(inspection: Inspection) -> None:
    """What the manifest adds."""
    if inspection.manifest_problem is not None:
        print_line(f"\nnothing is known of the export: {inspection.manifest_problem}")
    if inspection.optimised is not None:
        print_line(f"\noptimised by {inspection.optimised}")
    if inspection.passes:
        rows = [(log.name, str(log.rewrites), log.not_run or log.detail) for log in inspection.passes]
        print_table(("pass", "rewrites", "what it did"), rows, right=("rewrites",))
    if (taken := inspection.delegation) is not None:
        share = f"{taken.delegated} of {taken.total} operators in {taken.partitions} partitions"
        print_line(f"\n{taken.delegate} took {share}")
    print_shortfalls([(inspection.format, inspection.shortfalls)])


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
