"""``paper``: measure the networks of the paper's Table 2 here, and hold its claims against what comes out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import EdgevitExportError
from edgevit.shell import quoted
from edgevit.text import printable
from edgevit_export.commands.bench import BenchOptions, print_runs, request_of
from edgevit_export.commands.bench_watcher import ConsoleWatcher
from edgevit_export.commands.options import AsJson, Quiet, Verbose, parse_size, split_list
from edgevit_export.commands.report import print_comparisons
from edgevit_export.console import (
    Progress,
    failure_of,
    print_error,
    print_line,
    print_next,
    print_note,
    print_records,
)
from export.formats.table import parse_format
from export.recipe import Format, Recipe

if TYPE_CHECKING:
    from edgevit.neighbours import Neighbour
    from edgevit_export.workflows.export import ExportReport
    from edgevit_export.workflows.paper_networks import PaperNetworks
    from runtimes.bench.record import DeviceRun
    from validation.report.rows import PaperComparison

DEFAULT_DIRECTORY = Path("paper")
DEFAULT_FORMATS = (Format.TFLITE, Format.ONNX)


# fmt: off
@dataclass(frozen=True)
class PaperOptions:
    """What stands on the command line."""

    formats: Annotated[list[str] | None, typer.Option("--format", "-f",
        help="ptl, onnx, tflite, pte; repeatable or comma-separated.  [default: tflite,onnx]")] = None
    networks: Annotated[list[str] | None, typer.Option("--models", "-m",
        help="Names of Table 2, e.g. edgevit-xxs,deit-tiny; resnet18 too.  [default: all that can be had]")] = None
    device: Annotated[list[str] | None, typer.Option("--device", "-d",
        help="Serial, HOST:PORT, host, all; repeatable.")] = None
    output: Annotated[Path, typer.Option("--output", "-o",
        help="Directory for the artifacts and the records.")] = DEFAULT_DIRECTORY
    input_size: Annotated[str | None, typer.Option(
        help="Another height, or HxW, in pixels: quick, but then no claim is tested.  [default: the paper's]")] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random weights.")] = 0
    runs: Annotated[int, typer.Option(min=1, help="Timed forward passes per artifact, over all rounds.")] = 50
    rounds: Annotated[int, typer.Option(min=1, help="Parts that the runs are split in; networks take turns.")] = 5
    warmup: Annotated[int, typer.Option(min=0, help="Untimed forward passes before each round.")] = 10
    threads: Annotated[str, typer.Option(help="Thread counts, e.g. 1,2,4.")] = "1"
    affinity: Annotated[str | None, typer.Option(
        help="Cores: big, little, numbers (1, 4-7, 0,4) or a mask (0xf0).")] = None
    max_temp: Annotated[float | None, typer.Option(help="Highest temperature to start a round at, in °C.")] = None
    cooldown: Annotated[float | None, typer.Option(min=0.0,
        help="Longest wait for that temperature, in s.  [default: 300]")] = None
    runner: Annotated[str, typer.Option(help="auto, python, native, native-glibc, tool, or a tool's binary.")] = "auto"
    tools_dir: Annotated[Path | None, typer.Option(exists=True, file_okay=False,
        help="Directory with TOOLS_DIR/<abi>/<tool>.")] = None
    python: Annotated[str | None, typer.Option(help="The python3 on the device.")] = None
    adb_server: Annotated[str | None, typer.Option(help="HOST:PORT of an adb server elsewhere.")] = None
    remote_dir: Annotated[str | None, typer.Option(help="Directory on the device for this program's files.")] = None
    resume: Annotated[bool, typer.Option("--resume", help="Continue; skip what is measured.")] = False
    as_json: AsJson = False
    quiet: Quiet = False
    verbose: Verbose = False
# fmt: on


@dataclass
class _Done:
    """What came out of all of it."""

    exports: list[ExportReport] = field(default_factory=list)
    runs: list[DeviceRun] = field(default_factory=list)
    errors: list[EdgevitExportError] = field(default_factory=list)
    code: int = 0

    def failed(self, error: EdgevitExportError) -> None:
        self.errors.append(error)
        self.code = max(self.code, error.exit_code)


def paper(options: PaperOptions) -> None:
    r"""Measure the paper's neighbours here: Table 2, ratio against ratio.

    \b
    Exports EdgeViT and the networks that the paper compares it with, with
    random weights, and verifies each; measures them in turns, format by
    format; prints which of the paper's claims hold here. What is exported
    already is not exported again; a bench that was ended goes on by --resume.
    The same table is part of every report on the records.

    \b
    Examples:
      edgevit-export paper --device host
      edgevit-export paper --format ptl --models edgevit-xxs,mobilevit-xxs,deit-tiny
    """
    from edgevit_export.workflows.export_request import check_request

    asked, bench = _asked(options), _bench_options(options)
    request_of(bench)  # refuses what it cannot take, before the exports take their time
    check_request(asked.recipes, asked.directory, verify=True)
    done, progress = _Done(), Progress()
    _export(asked, done, progress, verbose=options.verbose)
    _measure(asked, bench, done, progress, as_json=options.as_json)
    comparisons = _compared(options, done)
    if options.as_json:
        from validation.latency.analysis import judge_run

        print_records(
            exports=done.exports, latency=[judge_run(run) for run in done.runs], comparisons=comparisons,
            errors=[failure_of(error) for error in done.errors],
        )  # fmt: skip
    else:
        print_line()
        print_comparisons(comparisons)
    for error in done.errors:
        print_error(error)
    results, artifacts = options.output / "results", options.output / "artifacts"
    if results.is_dir():  # nothing was measured yet where every export failed
        print_next(f"edgevit-export report {quoted(results)} --artifacts {quoted(artifacts)}")
    if done.code:
        raise typer.Exit(done.code)


def _asked(options: PaperOptions) -> PaperNetworks:
    """The networks and formats that the options name.

    Raises:
        UsageError: No such network or format.
    """
    from edgevit.neighbours import find_neighbour, neighbours
    from edgevit_export.workflows.paper_networks import PaperNetworks

    names = split_list(options.networks)
    all_of_them = tuple(each for each in neighbours().values() if not each.missing)
    chosen = tuple(dict.fromkeys(find_neighbour(name).model for name in names))
    formats = tuple(dict.fromkeys(parse_format(name) for name in split_list(options.formats))) or DEFAULT_FORMATS
    return PaperNetworks(
        networks=tuple(neighbours()[model] for model in chosen) if options.networks else all_of_them,
        recipes=tuple(Recipe(format=format) for format in formats),
        directory=options.output / "artifacts",
        input_size=None if options.input_size is None else parse_size(options.input_size),
        seed=options.seed,
    )


def _bench_options(options: PaperOptions) -> BenchOptions:
    return BenchOptions(
        artifacts=[], device=options.device, runs=options.runs, rounds=options.rounds, warmup=options.warmup,
        threads=options.threads, affinity=options.affinity, max_temp=options.max_temp, cooldown=options.cooldown,
        runner=options.runner, tools_dir=options.tools_dir, python=options.python, adb_server=options.adb_server,
        remote_dir=options.remote_dir, output=options.output / "results", resume=options.resume,
    )  # fmt: skip


def _export(asked: PaperNetworks, done: _Done, progress: Progress, *, verbose: bool) -> None:
    """Export what is missing; what fails is told at once and left out of the bench."""
    from edgevit_export.workflows.paper_networks import export_missing

    progress.note(f"weights are random (seed {asked.seed}): good for latency and parity; top-1 stays the paper's")
    command = ("edgevit-export", *map(printable, sys.argv[1:]))
    for network, outcome in export_missing(asked, command, progress, verbose=verbose):
        if isinstance(outcome, EdgevitExportError):
            done.failed(type(outcome)(f"{network.model}: {outcome.message}", hint=outcome.hint))
            continue
        done.exports.append(outcome)
        done.code = max(done.code, outcome.exit_code)
        _print_not_passed(network, outcome)


def _print_not_passed(network: Neighbour, report: ExportReport) -> None:
    for outcome in report.outcomes:
        if outcome.verdict != "passed":
            reasons = "; ".join(outcome.reasons)
            print_note(f"{network.model} as {outcome.recipe.format}: {outcome.verdict}: {reasons}", is_error=True)


def _measure(asked: PaperNetworks, bench: BenchOptions, done: _Done, progress: Progress, *, as_json: bool) -> None:
    """All networks of one format in turns, then those of the next."""
    from edgevit_export.workflows.bench import Bench, open_devices
    from edgevit_export.workflows.paper_networks import by_format
    from edgevit_export.workflows.subjects import find_subjects
    from runtimes.conditions.lease import ending_sessions_on_signals

    told: set[str] = set()

    def watcher_of(serial: str) -> ConsoleWatcher:
        return ConsoleWatcher(serial, progress, told)

    for recipe, manifests in by_format(asked):
        progress.note(f"measuring {len(manifests)} networks as {recipe.format}")
        devices = open_devices(
            tuple(split_list(bench.device)), adb_server=bench.adb_server, remote_dir=bench.remote_dir
        )
        work = Bench(find_subjects(manifests), request_of(bench), bench.output, watcher_of)
        with ending_sessions_on_signals():
            outcomes = work.run(devices, lambda: progress.note("stopping: every device ends the round that it is in"))
        runs = [run for outcome in outcomes for run in outcome.runs]
        done.runs += runs
        for outcome in outcomes:
            if outcome.error is not None:
                done.failed(outcome.error)
        if runs and not as_json:
            places = {each.serial: each.directory for each in outcomes if each.directory is not None}
            done.code = max(done.code, print_runs(runs, bench, (), places, told))


def _compared(options: PaperOptions, done: _Done) -> Sequence[PaperComparison]:
    """Table 2 against all records of this directory, those of earlier runs included."""
    from edgevit_export.workflows.report import gather_results

    if not done.runs:
        return ()
    data = gather_results([options.output / "results"], artifacts=[options.output / "artifacts"])
    for problem in data.problems:
        print_note(problem, is_error=True)
    return data.comparisons
