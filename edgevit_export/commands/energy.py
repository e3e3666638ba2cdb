"""``energy``: analyse recorded power traces, simulate traces with known energy, list power meters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import EdgevitExportError, UsageError
from edgevit.records import atomic_path, failure_to_write, require_writable, writing
from edgevit.shell import quoted
from edgevit_export.commands.options import AsJson, Quiet, group_of
from edgevit_export.console import (
    failure_of,
    print_error,
    print_line,
    print_next,
    print_note,
    print_record,
    print_records,
    print_table,
    print_text,
)

if TYPE_CHECKING:
    from runtimes.power.meters import ListedMeter
    from runtimes.power.stamps import RunStamps
    from runtimes.power.trace import PowerTrace
    from validation.energy.report import EnergyReport

app = group_of("Energy per inference from power traces; which meters there are; traces to test with.")


_ANALYZE = """Energy per inference in a recorded trace; exit code 1 while the figure is not verified.

\b
A record of `bench --energy` names its trace and its stamps itself. For a trace without --stamps only the paper's
segmentation is possible, and nothing confirms its result.

\b
Examples:
  edgevit-export energy analyze trace.csv --runs 50
  edgevit-export energy analyze trace.npz --stamps trace.stamps.json --top1 81.0
  edgevit-export energy analyze trace.npz --stamps trace.stamps.json --verbose --plot trace.png
  edgevit-export energy analyze results/8BC1/edgevit-s-224x224.onnx-1a2b3c4d-python-t1.json
"""

_SIMULATE = """Write a power trace whose energy is exactly known, the runner's stamps for it, and the truth.

\b
Example:
  edgevit-export energy simulate --scenario ramp-tail --seed 3
  edgevit-export energy analyze energy/ramp-tail-3.csv --stamps energy/ramp-tail-3.stamps.json
"""


@app.command(help=_ANALYZE)
def analyze(
    trace: Annotated[Path, typer.Argument(exists=True, help="Power trace: .npz, or .csv (ours, PyMonsoon, PowerTool, FAI-PEP); or a record, .json.")],
    runs: Annotated[int | None, typer.Option(min=1, help="Inferences in the trace; needed without --stamps.")] = None,
    stamps: Annotated[Path | None, typer.Option(exists=True, help="When the runner was busy: the .stamps.json of the run.")] = None,
    top1: Annotated[float | None, typer.Option(help="Top-1 accuracy in percent, for top-1 %/mJ.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="What separates the cells of a .csv; found out without it.")] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal mark of a .csv, '.' or ','; found out without it.")] = None,
    units: Annotated[str | None, typer.Option(help="Units of a .csv where its heading is silent or wrong: time=ms,current=A,voltage=mV,power=W; -mA turns the sign.")] = None,
    save: Annotated[Path | None, typer.Option(help="Also write the whole record to this JSON file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw trace and figure to this .png, .svg or .pdf.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every check with its value and limit; --json always has them.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Energy per inference in a recorded trace; exit code 1 while the figure is not verified."""
    from runtimes.power.reading.columns import parse_units
    from runtimes.power.stamps import RunStamps
    from runtimes.power.trace_csv import read_trace
    from validation.energy.analysis import analyze_energy
    from validation.energy.plot import draw_energy, require_plot

    _refuse_loss((trace, stamps), (save, plot))
    if plot is not None:
        require_plot(plot)
    if trace.suffix == ".json":
        if delimiter or decimal or units:
            raise UsageError(f"--delimiter, --decimal and --units belong to a .csv; {trace} is a record")
        report, read, told = _analyze_record(trace, runs, stamps, top1)
    else:
        told = RunStamps.load(stamps) if stamps is not None else None
        read = read_trace(trace, delimiter=delimiter, decimal=decimal, units=parse_units(units) if units else None)
        report = analyze_energy(read, runs=runs, stamps=told, top1_percent=top1, source=str(trace))

    def save_drawing(path: Path) -> None:
        drawing = draw_energy(report, read, told, path.suffix)
        with atomic_path(path) as temporary:
            temporary.write_bytes(drawing)

    unwritten = _unwritten(((save, report.save), (plot, save_drawing)))
    if as_json:
        print_record(report, *map(failure_of, unwritten))
    else:
        print_report(report, verbose=verbose)
    for error in unwritten[1:]:
        print_error(error)
    if unwritten:
        raise unwritten[0]
    raise typer.Exit(0 if report.passed else 1)


def _unwritten(files: Iterable[tuple[Path | None, Callable[[Path], None]]]) -> list[EdgevitExportError]:
    """Write what was asked for; the errors of what cannot be written, when all the rest is."""
    tried = [failure_to_write(path, write) for path, write in files if path is not None]
    return [error for error in tried if error is not None]


def _refuse_loss(read: tuple[Path | None, ...], written: tuple[Path | None, ...]) -> None:
    """Refuse to write over what is read, twice to one file, or where nothing can be written."""
    seen = [path.resolve() for path in read if path is not None]
    for path in filter(None, written):
        if path.resolve() in seen:
            raise UsageError(f"{path} would be overwritten", hint="give --save and --plot files of their own")
        require_writable(path)
        seen.append(path.resolve())


def _analyze_record(
    record: Path, runs: int | None, stamps: Path | None, top1: float | None
) -> tuple[EnergyReport, PowerTrace, RunStamps | None]:
    from runtimes.bench.record import DeviceRun
    from validation.energy.judge import judge_energy, recorded_trace

    if runs is not None or stamps is not None:
        raise UsageError(f"--runs and --stamps belong to a trace; {record} holds its own", hint="leave them out")
    run = DeviceRun.load(record)
    recorded = recorded_trace(run, record.parent)
    report = judge_energy(run, record.parent, top1_percent=top1, recorded=recorded)
    if report is None or recorded is None:
        raise UsageError(
            f"{record} holds no energy: it was measured without a power meter", hint="bench --energy METER"
        )
    return report, *recorded


@app.command(help=_SIMULATE)
def simulate(
    scenario: Annotated[str, typer.Option(help="Name of the scenario; see --list.")] = "clean",
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same seed gives the same trace.")] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory to write to.")] = Path("energy"),
    npz: Annotated[bool, typer.Option("--npz", help="Write the trace as .npz instead of .csv.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the scenarios and stop.")] = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Write a power trace whose energy is exactly known, the runner's stamps for it, and the truth."""
    from runtimes.power.scenarios import SCENARIOS, scenario_named
    from runtimes.power.simulate import simulate as make
    from runtimes.power.trace_csv import write_csv

    if list_all:
        print_table(("scenario", "what"), [(row.name, row.summary) for row in SCENARIOS.values()])
        return
    made = make(scenario_named(scenario), seed)
    path = output / f"{scenario}-{seed}.{'npz' if npz else 'csv'}"
    stamps, known = (output / f"{scenario}-{seed}.{kind}.json" for kind in ("stamps", "truth"))
    for file, save in (
        (path, made.trace.save if npz else partial(write_csv, made.trace)),
        (stamps, made.stamps.save),
        (known, made.truth.save),
    ):
        with writing(file):
            save(file)
        print_line(str(file))
    truth = made.truth
    print_note(f"true energy: {truth.active_mj:.3f} mJ per inference, {truth.total_mj:.3f} mJ with tails")
    if truth.slope_mj is not None:
        print_note(f"one inference more in a burst: {truth.slope_mj:.3f} mJ")
    print_next(f"edgevit-export energy analyze {quoted(path)} --stamps {quoted(stamps)}")


@app.command()
def meters(
    device: Annotated[str | None, typer.Option("--device", "-d", help="Also ask this device's own meters.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List the power meters, what each can resolve, and whether it can be used here."""
    from runtimes.devices.select import select_device
    from runtimes.power.meters import list_meters

    with select_device(device) if device is not None else nullcontext() as selected:
        rows = list_meters(selected)
    if as_json:
        print_records(meters=rows)
        return
    columns = ("meter", "measures", "a reading every", "shortest inference", "shortest run", "usable here", "why not")
    print_table(columns, [_meter_cells(row) for row in rows], right=columns[2:5])


def _meter_cells(row: ListedMeter) -> tuple[str, ...]:
    usable = {True: "yes", False: "no", None: "?"}[row.usable]
    return (
        row.name, row.what, f"{row.period_ms:g} ms", f"{row.shortest_window_ms:g} ms", f"{row.shortest_run_s:g} s",
        usable, row.why_not,
    )  # fmt: skip


def print_report(report: EnergyReport, *, verbose: bool = False) -> None:
    """One report for a person: the figure, the methods side by side, what they rest on, the verdict.

    ``verbose`` adds every check with what was found and what it must not pass.
    """
    from validation.energy import tables

    for line in (tables.headline(report), *tables.figure_lines(report)):
        print_text(line)
    if rows := tables.method_rows(report):
        print_text()
        print_table(tables.METHOD_COLUMNS, rows, right=tables.METHOD_RIGHT)
        if report.energy_mj is not None:
            print_text(tables.methods_note(report))
    print_text()
    for line in tables.fact_lines(report):
        print_text(line)
    if verbose and report.checks:
        print_text()
        rows = tables.check_rows(report.checks)
        print_table(tables.CHECK_COLUMNS, rows, right=tables.CHECK_RIGHT)
        if any(row[-1] == tables.INSIGNIFICANT for row in rows):
            print_text(f"{tables.INSIGNIFICANT}: beyond the limit, but not significantly")
        print_text()
    print_text(tables.verdict_line(report))
    for reason in report.reasons:
        print_text(f"  - {reason}")
    for note in report.notes:
        print_note(f"note: {note}")


def parse_top1(values: list[str] | None) -> dict[str, float] | None:
    """``--top1 81.0`` or ``--top1 FILE=81.0`` (repeatable) as the mapping that ``EnergyBench.top1`` takes.

    Raises:
        UsageError: Not a percentage.
    """
    if not values:
        return None
    stated: dict[str, float] = {}
    for value in values:
        name, _, number = value.rpartition("=")
        try:
            stated[name] = float(number)
        except ValueError as error:
            raise UsageError(f"--top1 '{value}': expected PERCENT or FILE=PERCENT", hint="--top1 81.0") from error
    return stated
