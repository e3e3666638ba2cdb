"""``verify``: prove artifacts in their own runtimes; table, JSON or JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import UsageError
from edgevit.records import failure_to_write, require_writable
from edgevit_export.commands.options import AbsoluteError, AsJson, Quiet, Strict, Verbose
from edgevit_export.console import Progress, failure_of, print_note, print_records, print_shortfalls, print_table

if TYPE_CHECKING:
    from validation.artifact.checks import VerifyReport

_PATHS = "Artifacts, manifests or directories.  [default: artifacts]"
_IMAGES = "Also compare on the images in this directory (needs torch)."
_REFERENCE = "Hold files from elsewhere, without a manifest, against this artifact or golden .npz."
_MAP = "With --reference: FILE_NAME=REFERENCE_NAME of an input or output; repeat for several."
_MODULE = "With --images: your own code that the network is from, FILE.py:FACTORY; it is run."
_CHECKPOINT = "With --images: the weights that the artifacts were exported from."


@dataclass(frozen=True)
class VerifyOptions:
    """The options of ``verify``, each as the command line and its help show it."""

    paths: Annotated[list[Path] | None, typer.Argument(help=_PATHS)] = None
    images: Annotated[Path | None, typer.Option(exists=True, help=_IMAGES)] = None
    checkpoint: Annotated[Path | None, typer.Option(exists=True, help=_CHECKPOINT)] = None
    module: Annotated[str | None, typer.Option(help=_MODULE)] = None
    reference: Annotated[Path | None, typer.Option(exists=True, help=_REFERENCE)] = None
    names: Annotated[list[str] | None, typer.Option("--map", help=_MAP)] = None
    atol: AbsoluteError = None
    strict: Strict = False
    threads: Annotated[int, typer.Option(min=1, help="Threads of each runtime.")] = 1
    junit: Annotated[Path | None, typer.Option(help="Also write the checks as JUnit XML.")] = None
    as_json: AsJson = False
    quiet: Quiet = False
    verbose: Verbose = False


def verify(options: VerifyOptions) -> None:
    r"""Prove artifacts in their own runtimes.

    Opens each artifact in the runtime of its format and compares it with the reference; exit code 1 if one fails.

    \b
    Examples:
      edgevit-export verify
      edgevit-export verify artifacts/edgevit-s-224x224.onnx --strict
      edgevit-export verify --junit verify.xml
      edgevit-export verify theirs.tflite --reference artifacts/edgevit-s-224x224.tflite
    """
    from validation.artifact.checks import exit_code
    from validation.artifact.junit import write_junit
    from validation.artifact.tables import VERIFY_ALIKE, VERIFY_COLUMNS, VERIFY_RIGHT, reason_lines, verify_rows

    if options.junit is not None:
        require_writable(options.junit)
    reports = _reports(options)
    unwritten = options.junit and failure_to_write(options.junit, partial(write_junit, reports))
    if options.as_json:
        print_records(*([failure_of(unwritten)] if unwritten else []), artifacts=reports)
    else:
        print_table(VERIFY_COLUMNS, verify_rows(reports), right=VERIFY_RIGHT, alike=VERIFY_ALIKE)
        print_shortfalls([(report.file, report.shortfalls) for report in reports])
        for report in reports:
            for line in reason_lines(report):
                print_note(f"{report.file}: {line}", is_error=report.exit_code != 0)
    if unwritten:
        raise unwritten
    if code := exit_code(reports):
        raise typer.Exit(code)


def _reports(options: VerifyOptions) -> list[VerifyReport]:
    """Each artifact's report, by its manifest or against the reference that was given."""
    from edgevit_export.workflows.verify import verify as by_manifest
    from edgevit_export.workflows.verify import verify_against

    progress, paths = Progress(), options.paths or ()
    if options.reference is None:
        if options.names:
            raise UsageError("--map is only used to hold files against a --reference", hint="add --reference FILE")
        return by_manifest(
            *paths,
            images=options.images,
            checkpoint=options.checkpoint,
            module=options.module,
            atol=options.atol,
            strict=options.strict,
            threads=options.threads,
            progress=progress,
            verbose=options.verbose,
        )
    if options.images is not None or options.checkpoint is not None or options.module is not None:
        raise UsageError(
            "--images, --checkpoint and --module belong to artifacts with a manifest, not to a --reference"
        )
    if not paths:
        raise UsageError(
            "--reference needs the files to hold against it", hint="edgevit-export verify FILE --reference …"
        )
    return verify_against(
        *paths,
        reference=options.reference,
        names=_names(options.names or ()),
        atol=options.atol,
        strict=options.strict,
        threads=options.threads,
        progress=progress,
        verbose=options.verbose,
    )


def _names(pairs: Sequence[str]) -> dict[str, str]:
    """``Identity=logits`` as the reference's name by the file's; the last ``=`` parts them.

    Raises:
        UsageError: A text is no such pair, or two give one name a partner.
    """
    names: dict[str, str] = {}
    for text in pairs:
        name, _, other = text.rpartition("=")
        if not name or not other:
            raise UsageError(f"--map '{text}': expected FILE_NAME=REFERENCE_NAME", hint="--map Identity=logits")
        if name in names or other in names.values():
            raise UsageError(f"--map '{text}': '{name if name in names else other}' has a partner already")
        names[name] = other
    return names
