"""The export command: parse the options into requests, call the API, print the closing table."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import UsageError, parse_choice
from edgevit.labels import read_labels
from edgevit.shell import quoted
from edgevit.spec import OTHER_WEIGHTS, Layout, Preprocessing, Task
from edgevit.text import printable
from edgevit_export.commands.options import (
    DEFAULT_OUTPUT,
    AbsoluteError,
    AsJson,
    Quiet,
    Strict,
    Verbose,
    parse_floats,
    parse_size,
    split_list,
    wait_passively,
)
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
from export.recipe import Format, Optimize, Recipe

if TYPE_CHECKING:
    from torch import nn

    from edgevit.spec import ModelSpec
    from edgevit_export.workflows.export import ExportReport, FormatOutcome

DEFAULT_FORMATS = (Format.PTL, Format.ONNX, Format.TFLITE)
COLUMNS = ("format", "parity,\nx yardstick", "optimised by,\ncalls left", "operators\n(delegated)", "size", "time")
"""Of the closing table, which fits into 80 columns; the second lines say what the second figures are."""


# fmt: off
@dataclass(frozen=True)
class ExportOptions:
    """The options of exporting, each as the command line and its help show it."""

    variant: Annotated[str | None, typer.Option("--variant", "-m",
        help="xxs, xs, s, or another name that `models` lists.")] = None
    config: Annotated[Path | None, typer.Option(exists=True,
        help="Your own configuration (TOML or JSON) instead of a variant.")] = None
    formats: Annotated[list[str] | None, typer.Option("--format", "-f",
        help="ptl, onnx, tflite, pte; repeatable or comma-separated.  [default: ptl,onnx,tflite]")] = None
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the artifacts.")] = DEFAULT_OUTPUT
    checkpoint: Annotated[Path | None, typer.Option(exists=True,
        help="Weights: .pth, .pt or .safetensors; without it they are random.")] = None
    checkpoint_entry: Annotated[str | None, typer.Option(
        help="Which of several weights in the checkpoint, e.g. model_ema.  [default: the first one known]")] = None
    num_classes: Annotated[int | None, typer.Option(min=1,
        help="Classes of the head.  [default: the checkpoint's, else 1000]")] = None
    in_channels: Annotated[int | None, typer.Option(min=1,
        help="Channels of the input image.  [default: the checkpoint's, else 3]")] = None
    task: Annotated[str, typer.Option(help="classify (logits) or features (stage1..stage4).")] = "classify"
    input_size: Annotated[str, typer.Option(help="Height, or HxW, in pixels; multiples of 32.")] = "224"
    batch: Annotated[int, typer.Option(min=1, help="Images per call.")] = 1
    seed: Annotated[int, typer.Option(min=0, help="Seed of random weights.")] = 0
    labels: Annotated[Path | None, typer.Option(exists=True,
        help="Text file with one class name a line; goes into the artifacts.")] = None
    mean: Annotated[str | None, typer.Option(
        help="Normalisation mean a channel, of 0..1 pixels.  [default: ImageNet's]")] = None
    std: Annotated[str | None, typer.Option(help="Normalisation deviation a channel.  [default: ImageNet's]")] = None
    delegate: Annotated[str | None, typer.Option(help="Ablation: delegate sampling center, avg or max.")] = None
    propagation: Annotated[str | None, typer.Option(
        help="Ablation: local propagation transposed-conv, bilinear or none.")] = None
    aggregation: Annotated[bool | None, typer.Option("--aggregation/--no-aggregation",
        help="Ablation: local aggregation.")] = None
    input_layout: Annotated[str, typer.Option(help="nchw, or nhwc as cameras deliver.")] = "nchw"
    optimize: Annotated[str, typer.Option(help="none (plain conversion), basic or full.")] = "full"
    opset: Annotated[int | None, typer.Option(help="ONNX opset.  [default: 17]")] = None
    dynamic_batch: Annotated[bool, typer.Option("--dynamic-batch",
        help="ptl and onnx: leave the batch axis free.")] = False
    ptl_bytecode: Annotated[int | None, typer.Option(
        help="TorchScript lite bytecode 7, 6, 5 or 4 for older Android runtimes.")] = None
    verify: Annotated[bool, typer.Option("--verify/--no-verify",
        help="Prove each artifact before it gets its name.")] = True
    images: Annotated[Path | None, typer.Option(exists=True,
        help="Also compare on the images in this directory.")] = None
    atol: AbsoluteError = None
    strict: Strict = False
    as_json: AsJson = False
    quiet: Quiet = False
    verbose: Verbose = False
# fmt: on


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
    )
    for option, given, owning in owners:
        if given and not set(owning) & set(formats):
            raise UsageError(f"{option} belongs to {' and '.join(owning)}, not to {', '.join(formats)}",
                             hint=f"add --format {owning[-1]}, or leave {option} out")  # fmt: skip
    layout = parse_choice("input layout", Layout, options.input_layout)
    level = parse_choice("optimisation level", Optimize, options.optimize)
    return tuple(
        Recipe(
            format=format,
            optimize=level,
            input_layout=layout,
            opset=options.opset if format is Format.ONNX else None,
            dynamic_batch=options.dynamic_batch and format in free,
            ptl_bytecode=options.ptl_bytecode if format is Format.PTL else None,
        )
        for format in formats
    )


def build(options: ExportOptions) -> tuple[nn.Module, ModelSpec]:
    """The model and its specification as the options ask for them.

    Raises:
        UsageError: Options that contradict each other or name something unknown.
        CheckpointError: The weights file cannot be used.
    """
    from edgevit.build import build_model
    from edgevit.network.config_file import read_config

    if options.variant is not None and options.config is not None:
        raise UsageError("--variant and --config both name a model", hint="leave one of them out")
    if options.checkpoint_entry is not None and options.checkpoint is None:
        raise UsageError("--checkpoint-entry without --checkpoint", hint="--checkpoint my.pth")
    model = options.variant if options.config is None else read_config(options.config)
    size_px = parse_size(options.input_size)
    assert model is not None  # ``export`` has refused the case of neither
    return build_model(
        model,
        task=parse_choice("task", Task, options.task),
        num_classes=options.num_classes,
        in_channels=options.in_channels,
        input_size=size_px,
        batch=options.batch,
        checkpoint=options.checkpoint,
        entry=options.checkpoint_entry,
        seed=options.seed,
        labels=() if options.labels is None else read_labels(options.labels),
        preprocessing=_preprocessing(options, size_px),
        delegate=options.delegate,
        propagation=options.propagation,
        aggregation=options.aggregation,
    )


def _preprocessing(options: ExportOptions, size_px: tuple[int, int]) -> Preprocessing | None:
    from edgevit.network.describe import standard_preprocessing

    mean, std = parse_floats("--mean", options.mean), parse_floats("--std", options.std)
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise UsageError("--mean and --std belong together: one of them is missing",
                         hint="--mean 0.5,0.5,0.5 --std 0.5,0.5,0.5")  # fmt: skip
    return standard_preprocessing(size_px, mean, std)


def export(options: ExportOptions) -> None:
    """Export, prove and report; the same as without a command.

    The exit code is the one that the outcome stands for.
    """
    if options.variant is None and options.config is None:
        raise UsageError("nothing to export: --variant or --config is missing", hint="edgevit-export --variant s")
    wait_passively()
    from edgevit_export.workflows.export import export as export_all
    from edgevit_export.workflows.export_request import check_request

    asked = recipes(options)
    check_request(asked, options.output, verify=options.verify)
    progress = Progress()
    with progress.step("building the model"):
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
    print_table(COLUMNS, [_row(outcome) for outcome in report.outcomes], right=COLUMNS[-2:])
    for outcome in report.outcomes:
        if outcome.file is not None:
            print_line(outcome.file)
    print_shortfalls([(outcome.recipe.format, outcome.shortfalls) for outcome in report.outcomes])
    _print_reasons(report)
    if report.exit_code == 0:
        print_note("")
        if not options.verify:
            print_note("not verified yet")
        print_next(f"edgevit-export verify {quoted(options.output)}")


def _print_reasons(report: ExportReport) -> None:
    for outcome in report.outcomes:
        for reason in outcome.reasons:
            print_note(f"{outcome.recipe.format}: {reason}", is_error=outcome.verdict == "error")


def _row(outcome: FormatOutcome) -> tuple[str, ...]:
    from export.artifact import optimised

    parity, taken = outcome.parity, outcome.delegation
    operators = "-" if outcome.operators is None else str(outcome.operators)
    return (
        outcome.recipe.format,
        outcome.verdict if parity is None else f"{outcome.verdict}: {parity.multiple:.2f}",
        "-" if outcome.file is None else optimised(outcome.recipe, outcome.passes),
        operators if taken is None else f"{operators} ({taken.delegated} in {taken.partitions})",
        "-" if outcome.bytes is None else format_bytes(outcome.bytes),
        f"{outcome.seconds:.1f} s",
    )
