"""The command line: parse → call → print. Nothing heavy is imported until a command runs.

``edgevit-export`` without a command exports, and so does the command ``export``: the options for that stand on the
application itself as well, as in ``edgevit-export --variant s --format ptl,onnx,tflite``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import typer

from edgevit.errors import UsageError
from edgevit_export.commands.bench import command as bench
from edgevit_export.commands.compare import CompareOptions, compare
from edgevit_export.commands.devices import DevicesOptions, devices
from edgevit_export.commands.doctor import DoctorOptions, doctor
from edgevit_export.commands.energy import app as energy
from edgevit_export.commands.export import export
from edgevit_export.commands.export_options import ExportOptions
from edgevit_export.commands.inspect import InspectOptions, inspect
from edgevit_export.commands.models import ModelsOptions, models
from edgevit_export.commands.options import command_of
from edgevit_export.commands.paper import PaperOptions, paper
from edgevit_export.commands.report import ReportOptions, report
from edgevit_export.commands.runner import app as runner
from edgevit_export.commands.verify import VerifyOptions, verify
from edgevit_export.console import LISTING_VERSION, print_json

_HELP = """
Compile EdgeViT, or another network, into TorchScript-lite, ONNX, TFLite and
ExecuTorch artifacts, and prove each one.

\b
Examples:
  edgevit-export --variant s --format ptl,onnx,tflite
  edgevit-export --variant xs --checkpoint my.pth --format onnx --opset 17 --dynamic-batch
  edgevit-export --variant xxs --task features --input-size 512 --format tflite --input-layout nhwc
  edgevit-export --model timm:mobilenetv3_large_100 --format tflite
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


def _print_version(*, as_json: bool) -> None:
    from importlib.metadata import version

    number = version("edgevit-export")
    if as_json:
        print_json(json.dumps({"schema_version": LISTING_VERSION, "version": number}, indent=2))
    else:
        typer.echo(f"edgevit-export {number}")


@dataclass(frozen=True, kw_only=True)
class _FrontDoorOptions(ExportOptions):
    """What stands before a command, or in its place."""

    context: typer.Context
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False


def _export_unless_command(options: _FrontDoorOptions) -> None:
    """Export, or refuse options of the export in front of another command, which would be ignored."""
    context = options.context
    given = _given_options(context)
    if options.version:
        _print_version(as_json=options.as_json)
        raise typer.Exit
    if context.invoked_subcommand is not None:
        if given:
            raise UsageError(
                f"{', '.join(given)} before '{context.invoked_subcommand}': these options belong to exporting",
                hint=f"edgevit-export {context.invoked_subcommand} --help",
            )
    elif given:
        export(options)
    else:
        typer.echo(context.get_help())


def _given_options(context: typer.Context) -> list[str]:
    """The options that were typed, by their long names."""

    def typed(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    return [option.opts[0] for option in context.command.params if typed(option.name or "")]


app.callback()(command_of(_FrontDoorOptions, _export_unless_command))
app.command()(command_of(ExportOptions, export))
app.command()(command_of(VerifyOptions, verify))
app.command()(command_of(ModelsOptions, models))
app.command()(command_of(InspectOptions, inspect))
app.command()(command_of(DoctorOptions, doctor))
app.command()(bench)
app.command()(command_of(CompareOptions, compare))
app.command()(command_of(DevicesOptions, devices))
app.command()(command_of(ReportOptions, report))
app.command()(command_of(PaperOptions, paper))
app.add_typer(energy, name="energy")
app.add_typer(runner, name="runner")
