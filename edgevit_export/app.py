"""The command line: parse → call → print. Nothing heavy is imported until a command runs.

``edgevit-export`` without a command exports; the options for that stand on the application itself, as in
``edgevit-export --variant s --format ptl,onnx,tflite``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.errors import UsageError
from edgevit_export.commands.bench import command as bench
from edgevit_export.commands.compare import compare
from edgevit_export.commands.devices import devices
from edgevit_export.commands.energy import app as energy
from edgevit_export.commands.options import DEFAULT_OUTPUT, AsJson, Verbose
from edgevit_export.commands.report import report

_HELP = """
Compile EdgeViT into TorchScript-lite, ONNX, TFLite and ExecuTorch artifacts, and prove each one.

\b
Examples:
  edgevit-export --variant s --format ptl,onnx,tflite
  edgevit-export --variant xs --checkpoint my.pth --format onnx --opset 17 --dynamic-batch
  edgevit-export --variant xxs --task features --input-size 512 --format tflite --input-layout nhwc
  edgevit-export verify                      # all of artifacts/, again, anywhere
  edgevit-export bench artifacts/            # latency on a device or on this machine
  edgevit-export doctor                      # what can be exported and run here
"""


app = typer.Typer(
    help=_HELP,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"edgevit-export {version('edgevit-export')}")
        raise typer.Exit


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _refuse_export_options(context: typer.Context) -> None:
    """Options of the export in front of another command would be ignored: refuse them instead."""
    if given := [f"--{name.replace('_', '-')}" for name in context.params if _was_given(context, name)]:
        raise UsageError(
            f"{', '.join(given)} before '{context.invoked_subcommand}': these options belong to exporting",
            hint=f"edgevit-export {context.invoked_subcommand} --help",
        )


@app.callback()
def export(
    context: typer.Context,
    variant: Annotated[str | None, typer.Option("--variant", "-m", help="xxs, xs, s, or another name that `models` lists.")] = None,
    config: Annotated[Path | None, typer.Option(help="Your own configuration (TOML or JSON) instead of a variant.")] = None,
    format: Annotated[list[str] | None, typer.Option("--format", "-f", help="ptl, onnx, tflite, pte; repeatable or comma-separated.  [default: ptl,onnx,tflite]")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the artifacts.")] = DEFAULT_OUTPUT,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights: .pth, .pt or .safetensors; without it they are random.")] = None,
    checkpoint_entry: Annotated[str | None, typer.Option(help="Entry of the checkpoint to take, e.g. model_ema.  [default: the first one known]")] = None,
    num_classes: Annotated[int | None, typer.Option(min=1, help="Classes of the head.  [default: the checkpoint's, else 1000]")] = None,
    in_channels: Annotated[int | None, typer.Option(min=1, help="Channels of the input image.  [default: the checkpoint's, else 3]")] = None,
    task: Annotated[str, typer.Option(help="classify (logits) or features (stage1..stage4).")] = "classify",
    input_size: Annotated[str, typer.Option(help="Height, or HxW, in pixels; multiples of 32.")] = "224",
    batch: Annotated[int, typer.Option(min=1, help="Images per call.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random weights.")] = 0,
    labels: Annotated[Path | None, typer.Option(help="Text file with one class name a line; goes into the artifacts.")] = None,
    mean: Annotated[str | None, typer.Option(help="Normalisation mean a channel, of 0..1 pixels.  [default: ImageNet's]")] = None,
    std: Annotated[str | None, typer.Option(help="Normalisation deviation a channel.  [default: ImageNet's]")] = None,
    delegate: Annotated[str | None, typer.Option(help="Ablation: delegate sampling center, avg or max.")] = None,
    propagation: Annotated[str | None, typer.Option(help="Ablation: local propagation transposed-conv, bilinear or none.")] = None,
    aggregation: Annotated[bool | None, typer.Option("--aggregation/--no-aggregation", help="Ablation: local aggregation.")] = None,
    input_layout: Annotated[str, typer.Option(help="nchw, or nhwc as cameras deliver.")] = "nchw",
    optimize: Annotated[str, typer.Option(help="none (plain conversion), basic or full.")] = "full",
    opset: Annotated[int | None, typer.Option(help="ONNX opset.  [default: 17]")] = None,
    dynamic_batch: Annotated[bool, typer.Option("--dynamic-batch", help="ONNX: leave the batch axis free.")] = False,
    ptl_bytecode: Annotated[int | None, typer.Option(help="TorchScript lite bytecode 7, 6, 5 or 4 for older Android runtimes.")] = None,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Prove each artifact before it gets its name.")] = True,
    images: Annotated[Path | None, typer.Option(help="Also compare on the images in this directory.")] = None,
    atol: Annotated[float | None, typer.Option(min=0.0, help="Allowed absolute error, instead of 8 float32 yardsticks.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Tighter limits; see docs/verification.md.")] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:  # fmt: skip
    if context.invoked_subcommand is not None:
        _refuse_export_options(context)
        return
    if variant is None and config is None:
        if any(_was_given(context, name) for name in context.params):
            raise UsageError("nothing to export: --variant or --config is missing", hint="edgevit-export --variant s")
        typer.echo(context.get_help())
        return
    from edgevit_export.commands.export import ExportOptions, run

    run(
        ExportOptions(
            variant=variant, config=config, formats=format, output=output, checkpoint=checkpoint,
            checkpoint_entry=checkpoint_entry, num_classes=num_classes, in_channels=in_channels, task=task, input_size=input_size, batch=batch, seed=seed,
            labels=labels, mean=mean, std=std, delegate=delegate, propagation=propagation, aggregation=aggregation,
            input_layout=input_layout, optimize=optimize, opset=opset, dynamic_batch=dynamic_batch,
            ptl_bytecode=ptl_bytecode, verify=verify, images=images, atol=atol, strict=strict, as_json=as_json,
            verbose=verbose,
        )
    )  # fmt: skip


export.__doc__ = _HELP


@app.command()
def verify(
    paths: Annotated[list[Path] | None, typer.Argument(help="Artifacts, manifests or directories.  [default: artifacts]")] = None,
    images: Annotated[Path | None, typer.Option(help="Also compare on the images in this directory (needs torch).")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="With --images: the weights that the artifacts were exported from.")] = None,
    atol: Annotated[float | None, typer.Option(min=0.0, help="Allowed absolute error, instead of 8 float32 yardsticks.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Tighter limits; see docs/verification.md.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each runtime.")] = 1,
    junit: Annotated[Path | None, typer.Option(help="Also write the checks as JUnit XML.")] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:  # fmt: skip
    """Prove artifacts in their own runtimes.

    Opens each artifact in the runtime of its format and compares it with the reference; exit code 1 if one fails.

    \b
    Examples:
      edgevit-export verify
      edgevit-export verify artifacts/edgevit-s-224x224.onnx --strict
      edgevit-export verify --junit verify.xml
    """
    from edgevit_export.commands.verify import VerifyOptions, run

    run(
        VerifyOptions(
            paths=tuple(paths or [DEFAULT_OUTPUT]), images=images, checkpoint=checkpoint, atol=atol, strict=strict,
            threads=threads, junit=junit, as_json=as_json, verbose=verbose,
        )
    )  # fmt: skip


@app.command()
def models(
    input_size: Annotated[str, typer.Option(help="Height, or HxW, in pixels, to count multiply-adds at.")] = "224",
    as_json: AsJson = False,
) -> None:
    """List the variants and their cost."""
    from edgevit_export.commands.models import run

    run(input_size=input_size, as_json=as_json)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A .ptl, .onnx, .tflite or .pte file.")], as_json: AsJson = False
) -> None:
    """Show what an artifact holds."""
    from edgevit_export.commands.inspect import run

    run(file, as_json=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Show what can be done here.

    Versions, which formats can be exported and run, and what to install for the rest.
    """
    from edgevit_export.commands.doctor import run

    run(as_json=as_json)


app.command()(bench)
app.command()(compare)
app.command()(devices)
app.command()(report)
app.add_typer(energy, name="energy")
