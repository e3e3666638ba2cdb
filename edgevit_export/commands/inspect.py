"""``inspect FILE``: what an artifact holds, read from the file, and how it came about, from the manifest beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from edgevit.errors import ArtifactError, UsageError
from edgevit.records import sha256_file
from edgevit.shell import quoted
from edgevit.spec import TensorSpec
from edgevit_export.commands.int8_options import print_layer_table, summary
from edgevit_export.commands.options import AsJson, Quiet
from edgevit_export.console import format_bytes, print_line, print_record, print_shortfalls, print_table, print_text
from export.artifact import Delegation, FileFacts, Manifest, Operator, ParityResult, PassLog, Piece, optimised
from export.formats.table import FORMATS, format_of, read_artifact
from export.int8.record import LayerRecord, QuantizationRecord
from export.manifest import EXPORT_HINT, load_manifest, manifest_path
from export.recipe import Calibration

_METADATA_CHARS = 300  # chosen, because four lines of a terminal show what a value is
_WORST = 3  # layers of int8 that lose most, as many are shown; chosen: with --json are all
_MODULES = 3  # of a piece, that a row names; chosen: with --json are all


@dataclass(frozen=True)
class InspectOptions:
    """The options of ``inspect``."""

    file: Annotated[Path, typer.Argument(help="A .ptl, .onnx, .tflite or .pte file.")]
    as_json: AsJson = False
    quiet: Quiet = False


class Inspection(FileFacts):
    """The facts of a file, and what the manifest beside it says of the export: how it was optimised and delegated.

    ``manifest`` is that manifest's path. Without one all that it would say is empty, and
    ``manifest_problem`` says so, or why one that is there was not believed. ``precision`` is as
    ``Recipe.precision_words`` tells it; without a manifest what most weights are stored in.
    """

    schema_version: Literal[1] = 1
    manifest: str | None = None
    manifest_problem: str | None = None
    precision: str | None = None
    calibration: Calibration | None = None
    keep_float: tuple[str, ...] = ()
    quantization: QuantizationRecord | None = None
    optimised: str | None = None
    passes: tuple[PassLog, ...] = ()
    delegation: Delegation | None = None
    parity: ParityResult | None = None
    shortfalls: tuple[str, ...] = ()


def read_facts(path: Path) -> FileFacts:
    """The facts in the artifact at ``path``; its suffix says the format.

    Raises:
        UsageError: No such file, or a suffix that no format has.
        ArtifactError: The file is not what its suffix says.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a directory, expected one artifact", hint=f"edgevit-export verify {quoted(path)}")
    format = format_of(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint=EXPORT_HINT)
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
    print_text(f"{options.file}: {FORMATS[facts.format].title}, {size}")
    print_text(f"needs {facts.requires}")
    for caution in facts.cautions:
        print_text(f"caution: {caution}")
    if facts.weights:
        print_text(f"weights: {_weights_in_words(facts.weights)}")
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
    beside = manifest_path(path)
    problem: str | None = f"there is no {beside.name} beside it"
    manifest: Manifest | None = None
    if beside.is_file():
        try:
            manifest = load_manifest(beside)
            problem = None
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
        cautions=facts.cautions,
        weights=facts.weights,
        manifest=str(beside) if manifest else None,
        manifest_problem=problem,
        precision=_precision(facts, manifest),
        calibration=manifest.recipe.calibration if manifest else None,
        keep_float=manifest.recipe.keep_float if manifest else (),
        quantization=manifest.quantization if manifest else None,
        optimised=optimised(manifest.recipe, manifest.passes) if manifest else None,
        passes=manifest.passes if manifest else (),
        delegation=manifest.delegation if manifest else None,
        parity=manifest.parity if manifest else None,
        shortfalls=manifest.shortfalls() if manifest else (),
    )


def _precision(facts: FileFacts, manifest: Manifest | None) -> str | None:
    from validation.artifact.audit import precision_of

    if manifest is not None:
        return manifest.recipe.precision_words
    return str(precision_of(facts)) if facts.weights else None


def _weights_in_words(weights: dict[str, int]) -> str:
    """``3,912,448 int8 (97.1 %), 118,000 float32 (2.9 %), 163 int32``, most first; small change without its share."""
    total = sum(weights.values())
    shares = {dtype: f"{count / total:.1%}".replace("%", " %") for dtype, count in weights.items()}
    ordered = sorted(weights, key=lambda dtype: -weights[dtype])
    return ", ".join(
        f"{weights[dtype]:,} {dtype}" + (f" ({shares[dtype]})" if shares[dtype] not in ("0.0 %", "100.0 %") else "")
        for dtype in ordered
    )


def _precision_in_words(inspection: Inspection) -> str:
    words = f"precision: {inspection.precision}"
    if (images := inspection.calibration) is not None:
        words += f", ranges of {images.count} images (SHA-256 {images.sha256[:8]}…)"
    return words + (f"; left float: {', '.join(inspection.keep_float)}" if inspection.keep_float else "")


def _print_quantization(record: QuantizationRecord) -> None:
    """What became of the layers: those that stand apart, and those that lose most."""
    print_text(summary(record))
    worst = sorted((layer for layer in record.layers if layer.sqnr_db is not None), key=_sqnr_db)[:_WORST]
    apart = [layer for layer in record.layers if layer.why or layer in worst]
    if apart:
        print_line()
        print_layer_table(apart)
        print_line()


def _sqnr_db(layer: LayerRecord) -> float:
    return layer.sqnr_db or 0.0


def _optimised_in_words(inspection: Inspection) -> str:
    level, _, told = (inspection.optimised or "").partition(": ")
    if not told:
        return f"optimisation: {level}"
    changed = sum(log.rewrites > 0 for log in inspection.passes)
    left = sum(row.count for log in inspection.passes for row in log.refused)
    words = f"optimisation {level}: {changed} of {len(inspection.passes)} passes rewrote calls"
    return f"{words}, {left} calls left as they were" if left else words


def _print_export(inspection: Inspection) -> None:
    """What the manifest adds."""
    print_line()
    if inspection.manifest_problem is not None:
        print_text(f"nothing is known of the export: {inspection.manifest_problem}")
        return
    print_text(_precision_in_words(inspection))
    if inspection.quantization is not None:
        _print_quantization(inspection.quantization)
    print_text(_optimised_in_words(inspection))
    if inspection.passes:
        rows = [(log.name, str(log.rewrites), log.not_run or log.detail) for log in inspection.passes]
        print_table(("pass", "rewrites", "what it did"), rows, right=("rewrites",))
        print_line()
    if (parity := inspection.parity) is None:
        print_text("parity: not verified when it was exported")
    else:
        verdict = "passed" if parity.passed else "failed"
        print_text(
            f"parity: {verdict} in {parity.runtime}, {parity.figure}: "
            f"at most {parity.max_abs_error:.2e} off on {parity.inputs_compared} inputs, SQNR {parity.sqnr_db:.1f} dB"
        )
    if inspection.delegation is not None:
        _print_delegation(inspection.delegation)
    print_shortfalls([(inspection.format, inspection.shortfalls)])


def _print_delegation(taken: Delegation) -> None:
    """Its share, and the pieces that it cuts the artifact into, in the order of execution."""
    where = f"in {taken.partitions} partition{'s' if taken.partitions != 1 else ''}"
    print_text(f"{taken.delegate} took {taken.delegated} of {taken.total} operators {where}")
    if len(taken.pieces) > 1:
        print_line()
        rows = [_piece_row(number, piece) for number, piece in enumerate(taken.pieces, 1)]
        print_table(("piece", "operators", "where", "modules"), rows, right=("piece", "operators"))


def _piece_row(number: int, piece: Piece) -> tuple[str, ...]:
    where = "delegated" if piece.delegated else f"left outside: {', '.join(piece.names)}"
    modules = ", ".join(piece.modules[:_MODULES]) + ("…" if len(piece.modules) > _MODULES else "")
    return (str(number), str(piece.operators), where, modules)


def _tensor_row(kind: str, tensor: TensorSpec) -> tuple[str, ...]:
    shape = "x".join("N" if size < 0 else str(size) for size in tensor.shape)
    return (kind, tensor.name, shape, tensor.dtype, tensor.layout or "")


def _operator_row(operator: Operator) -> tuple[str, ...]:
    standard = "yes" if operator.standard else f"no: {operator.why_not}"
    version = "" if operator.version is None else str(operator.version)
    return (operator.name, str(operator.count), version, operator.since or "", standard)


def _shorten(value: str) -> str:
    """A value in one line; JSON with spaces, where it may be folded."""
    size = len(value)
    try:
        value = json.dumps(json.loads(value), ensure_ascii=False)
    except (ValueError, RecursionError):
        value = " ".join(value.split())
    if len(value) <= _METADATA_CHARS:
        return value
    return f"{value[:_METADATA_CHARS]}… ({size} characters, all with --json)"
