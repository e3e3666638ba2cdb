"""The verify command: find the manifests, verify each artifact, print table, JSON or JUnit XML."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import typer

from edgevit.errors import UsageError
from edgevit_export.console import Progress, print_line, print_note, print_table


@dataclass(frozen=True)
class VerifyOptions:
    """What stands on the command line."""

    paths: tuple[Path, ...]
    images: Path | None
    checkpoint: Path | None
    atol: float | None
    strict: bool
    threads: int
    junit: Path | None
    as_json: bool
    verbose: bool


def _check_junit(path: Path) -> None:
    """Refuse before any work a report that cannot be written."""
    where = path.parent
    why = f"{path} is a directory" if path.is_dir() else f"no such directory: {where}" if not where.is_dir() else ""
    if not why and not os.access(where, os.W_OK):
        why = f"{where} is not writable"
    if why:
        raise UsageError(f"cannot write --junit {path}: {why}", hint="--junit verify.xml")


def run(options: VerifyOptions) -> None:
    """Verify and print; exits with 1 when an artifact failed, 3 when a runtime is missing to decide."""
    from edgevit_export import api
    from validation.artifact.checks import exit_code
    from validation.artifact.junit import write_junit
    from validation.artifact.tables import VERIFY_COLUMNS, reason_lines, verify_rows

    if options.junit is not None:
        _check_junit(options.junit)
    reports = api.verify(
        *options.paths,
        images=options.images,
        checkpoint=options.checkpoint,
        atol=options.atol,
        strict=options.strict,
        threads=options.threads,
        progress=Progress(quiet=options.as_json),
        verbose=options.verbose,
    )
    if options.junit is not None:
        try:
            write_junit(reports, options.junit)
        except OSError as error:
            raise UsageError(f"cannot write --junit {options.junit}: {error.strerror or error}") from error
    if options.as_json:
        print_line(json.dumps([json.loads(report.to_json()) for report in reports], indent=2))
    else:
        right = (
            "inputs",
            "max error",
            "mean error",
            "x yardstick",
            "SQNR dB",
            "cosine",
            "top-1",
            "top-5",
            "non-finite",
        )
        print_table(VERIFY_COLUMNS, verify_rows(reports), right=right)
        for report in reports:
            for line in reason_lines(report):
                print_note(f"{report.file}: {line}")
    if code := exit_code(reports):
        raise typer.Exit(code)
