"""The export command: parse the options into requests, call the API, print the closing table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from edgevit.errors import UsageError, parse_choice
from edgevit.shell import quoted
from edgevit.spec import OTHER_WEIGHTS, Layout
from edgevit.text import printable
from edgevit_export.commands.export_options import ExportOptions
from edgevit_export.commands.int8_options import asked_precisions, for_int8, print_layers
from edgevit_export.commands.network_source import build, check_source
from edgevit_export.commands.options import collect_rarely, split_list, wait_passively
from edgevit_export.console import (
    Progress,
    format_bytes,
    print_line,
    print_next,
    print_note,
    print_record,
    print_shortfalls,
    print_table,
    print_text,
)
from export.formats.table import FORMATS, parse_format
from export.quiet import quiet
from export.recipe import Format, Optimize, Precision, Recipe

if TYPE_CHECKING:
    from edgevit_export.workflows.export import ExportReport, FormatOutcome

DEFAULT_FORMATS = (Format.PTL, Format.ONNX, Format.TFLITE)
COLUMNS = ("format", "parity,\nx yardstick", "optimised by,\ncalls left", "operators\n(delegated)", "size", "time")
"""Of the closing table, which fits into 80 columns; the second lines say what the second figures are."""


def recipes(options: ExportOptions) -> tuple[Recipe, ...]:
    """One recipe per format that was asked for.

    Raises:
        UsageError: Unknown names, or an option of one format when that format is not exported.
    """
    names = split_list(options.formats)
    if options.formats and not names:
        raise UsageError(f"--format names no format: choose from {', '.join(Format)}", hint="--format ptl,onnx,tflite")
    formats = tuple(dict.fromkeys(parse_format(name) for name in names)) if names else DEFAULT_FORMATS
    free = tuple(row.format for row in FORMATS.values() if row.fixed_batch is None)
    owners = (
        ("--opset", options.opset is not None, (Format.ONNX,)),
        ("--dynamic-batch", options.dynamic_batch, free),
        ("--ptl-bytecode", options.ptl_bytecode is not None, (Format.PTL,)),
        ("--ptl-prepacked", options.ptl_prepacked, (Format.PTL,)),
    )
    precisions = asked_precisions(options)
    for option, given, owning in owners:
        if given and not set(owning) & set(formats):
            raise UsageError(f"{option} belongs to {' and '.join(owning)}, not to {', '.join(formats)}",
                             hint=f"add --format {owning[-1]}, or leave {option} out")  # fmt: skip
    layout = parse_choice("input layout", Layout, options.input_layout)
    level = parse_choice("optimisation level", Optimize, options.optimize)
    return tuple(
        Recipe(
            format=format,
            precision=precision,
            **for_int8(options, precision),
            optimize=level,
            input_layout=layout,
            opset=options.opset if format is Format.ONNX else None,
            dynamic_batch=options.dynamic_batch and format in free,
            ptl_bytecode=options.ptl_bytecode if format is Format.PTL else None,
            ptl_prepacked=options.ptl_prepacked and format is Format.PTL,
        )
        for format in formats
        for precision in precisions
    )


def export(options: ExportOptions) -> None:
    """Export, prove and report; the same as without a command.

    The exit code is the one that the outcome stands for.
    """
    check_source(options)
    wait_passively()
    collect_rarely()
    from edgevit_export.workflows.export import export as export_all
    from edgevit_export.workflows.export_request import check_request

    asked = recipes(options)
    calibrated = options.calibration_data is not None
    check_request(asked, options.output, verify=options.verify, calibrated=calibrated)
    progress = Progress()
    with progress.step("building the model"), quiet(verbose=not options.quiet):  # user's code and downloads may print
        model, spec = build(options)
    if spec.weights.source == "random":
        progress.note(f"weights are random (seed {spec.weights.seed}): good for latency and parity, not for accuracy")
    report = export_all(
        model,
        spec,
        asked,
        output=options.output,
        verify=options.verify,
        images=options.images,
        calibration_data=options.calibration_data,
        atol=options.atol,
        strict=options.strict,
        command=("edgevit-export", *map(printable, sys.argv[1:])),
        progress=progress,
        verbose=options.verbose,
        side_by_side=True,
    )
    print_report(report, options)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def print_report(report: ExportReport, options: ExportOptions) -> None:
    """The closing table, then what is not as asked, to stdout; the reasons of verdicts and what is next to stderr."""
    if options.as_json:
        print_record(report)
        _print_reasons(report)
        return
    weights = report.spec.weights
    print_text(f"{report.spec.name}: weights {weights.describe()}")
    if weights.beside:
        several = any(words.endswith(OTHER_WEIGHTS) for words in weights.beside)
        choose = "; other weights by --checkpoint-entry" if several else ""
        print_text(f"not taken from {weights.file}: {', '.join(weights.beside)}{choose}")
    exact = all(outcome.recipe.precision is Precision.FP32 for outcome in report.outcomes)
    columns = COLUMNS if exact else (COLUMNS[0], "parity, x\nyardstick or dB", *COLUMNS[2:])
    print_table(columns, [_row(outcome) for outcome in report.outcomes], right=COLUMNS[-2:])
    for outcome in report.outcomes:
        if outcome.file is not None:
            print_line(outcome.file)
    shortfalls = [(each.recipe.title, (*_fixed(each, options), *each.shortfalls)) for each in report.outcomes]
    print_shortfalls(shortfalls)
    if options.quantize_report:
        print_layers(report.outcomes)
    _print_reasons(report)
    if report.exit_code == 0:
        print_note("")
        if not options.verify:
            print_note("not verified yet")
        print_next(f"edgevit-export verify {quoted(options.output)}")


def _fixed(outcome: FormatOutcome, options: ExportOptions) -> tuple[str, ...]:
    """Where a free batch was asked for, why this format has none."""
    why = FORMATS[outcome.recipe.format].fixed_batch
    return (f"--dynamic-batch: the batch is {options.batch or 1}, {why}",) if options.dynamic_batch and why else ()


def _print_reasons(report: ExportReport) -> None:
    for outcome in report.outcomes:
        for reason in outcome.reasons:
            print_note(f"{outcome.recipe.title}: {reason}", is_error=outcome.exit_code != 0)


def _row(outcome: FormatOutcome) -> tuple[str, ...]:
    from export.artifact import optimised

    parity, taken = outcome.parity, outcome.delegation
    operators = "-" if outcome.operators is None else str(outcome.operators)
    return (
        outcome.recipe.title,
        outcome.verdict if parity is None else f"{outcome.verdict}: {parity.figure.removesuffix(' x yardstick')}",
        "-" if outcome.file is None else optimised(outcome.recipe, outcome.passes),
        operators if taken is None else f"{operators} ({taken.delegated} in {taken.partitions})",
        "-" if outcome.bytes is None else format_bytes(outcome.bytes),
        f"{outcome.seconds:.1f} s",
    )
