"""``energy``: analyse recorded power traces, simulate traces with known energy, list power meters."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import UsageError
from edgevit_export.commands.options import AsJson
from edgevit_export.console import print_line, print_note, print_record, print_records, print_table

if TYPE_CHECKING:
    from runtimes.power.meters import ListedMeter
    from validation.energy.report import EnergyReport, MethodEnergy

app = typer.Typer(
    help="Energy per inference from power traces; which meters there are; traces to test with.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


_ANALYZE = """Energy per inference in a recorded trace; exit code 1 while the figure is not verified.

\b
A record of `bench --energy` names its trace and its stamps itself. For a trace without --stamps only the paper's
segmentation is possible, and nothing confirms its result.

\b
Examples:
  edgevit-export energy analyze trace.csv --runs 50
  edgevit-export energy analyze trace.npz --stamps trace.stamps.json --top1 81.0
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
    trace: Annotated[Path, typer.Argument(help="Power trace: .npz, or .csv (ours, PyMonsoon, PowerTool, FAI-PEP); or a record, .json.")],
    runs: Annotated[int | None, typer.Option(min=1, help="Inferences in the trace; needed without --stamps.")] = None,
    stamps: Annotated[Path | None, typer.Option(help="When the runner was busy: the .stamps.json of the run.")] = None,
    top1: Annotated[float | None, typer.Option(help="Top-1 accuracy in percent, for top-1 %/mJ.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="What separates the cells of a .csv; found out without it.")] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal mark of a .csv, '.' or ','; found out without it.")] = None,
    units: Annotated[str | None, typer.Option(help="Units of a .csv where its heading is silent or wrong: time=ms,current=A,voltage=mV,power=W; -mA turns the sign.")] = None,
    save: Annotated[Path | None, typer.Option(help="Also write the whole record to this JSON file.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Energy per inference in a recorded trace; exit code 1 while the figure is not verified."""
    from runtimes.power.reading.columns import parse_units
    from runtimes.power.stamps import RunStamps
    from runtimes.power.trace_csv import read_trace
    from validation.energy.analysis import analyze_energy

    if trace.suffix == ".json":
        if delimiter or decimal or units:
            raise UsageError(f"--delimiter, --decimal and --units belong to a .csv; {trace} is a record")
        report = _analyze_record(trace, runs, stamps, top1)
    else:
        told = RunStamps.load(stamps) if stamps is not None else None
        read = read_trace(trace, delimiter=delimiter, decimal=decimal, units=parse_units(units) if units else None)
        report = analyze_energy(read, runs=runs, stamps=told, top1_percent=top1, source=str(trace))
    if save is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        report.save(save)
    if as_json:
        print_record(report)
    else:
        print_report(report)
    raise typer.Exit(0 if report.passed else 1)


def _analyze_record(record: Path, runs: int | None, stamps: Path | None, top1: float | None) -> EnergyReport:
    from runtimes.bench.record import DeviceRun
    from validation.energy.judge import judge_energy

    if runs is not None or stamps is not None:
        raise UsageError(f"--runs and --stamps belong to a trace; {record} holds its own", hint="leave them out")
    report = judge_energy(DeviceRun.load(record), record.parent, top1_percent=top1)
    if report is None:
        raise UsageError(
            f"{record} holds no energy: it was measured without a power meter", hint="bench --energy METER"
        )
    return report


@app.command(help=_SIMULATE)
def simulate(
    scenario: Annotated[str, typer.Option(help="Name of the scenario; see --list.")] = "clean",
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same seed gives the same trace.")] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory to write to.")] = Path("energy"),
    npz: Annotated[bool, typer.Option("--npz", help="Write the trace as .npz instead of .csv.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the scenarios and stop.")] = False,
) -> None:  # fmt: skip
    """Write a power trace whose energy is exactly known, the runner's stamps for it, and the truth."""
    from runtimes.power.scenarios import SCENARIOS, scenario_named
    from runtimes.power.simulate import simulate as make
    from runtimes.power.trace_csv import write_csv

    if list_all:
        print_table(("scenario", "what"), [(row.name, row.summary) for row in SCENARIOS.values()])
        return
    made = make(scenario_named(scenario), seed)
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{scenario}-{seed}.{'npz' if npz else 'csv'}"
    if npz:
        made.trace.save(path)
    else:
        write_csv(made.trace, path)
    stamps = output / f"{scenario}-{seed}.stamps.json"
    made.stamps.save(stamps)
    known = output / f"{scenario}-{seed}.truth.json"
    made.truth.save(known)
    for written in (path, stamps, known):
        print_line(str(written))
    truth = made.truth
    print_note(f"true energy: {truth.active_mj:.3f} mJ per inference, {truth.total_mj:.3f} mJ with tails")
    if truth.slope_mj is not None:
        print_note(f"one inference more in a burst: {truth.slope_mj:.3f} mJ")
    print_note(f"next: edgevit-export energy analyze {path} --stamps {stamps}")


@app.command()
def meters(
    device: Annotated[str | None, typer.Option("--device", "-d", help="Also ask this device's own meters.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the power meters, what each can resolve, and whether it can be used here."""
    from runtimes.devices.select import select_device
    from runtimes.power.meters import list_meters

    with select_device(device) if device is not None else nullcontext() as selected:
        rows = list_meters(selected)
    if as_json:
        print_records(rows)
        return
    columns = ("meter", "measures", "a reading every", "shortest inference", "shortest run", "usable here", "")
    print_table(columns, [_meter_cells(row) for row in rows], right=columns[2:5])


def _meter_cells(row: ListedMeter) -> tuple[str, ...]:
    usable = {True: "yes", False: "no", None: "?"}[row.usable]
    return (
        row.name, row.what, f"{row.period_ms:g} ms", f"{row.shortest_window_ms:g} ms", f"{row.shortest_run_s:g} s",
        usable, row.why_not,
    )  # fmt: skip


def print_report(report: EnergyReport) -> None:
    """One report for a person: the figure, the methods side by side, what they rest on, the verdict."""
    print_line("energy per inference: unknown" if report.energy_mj is None else _headline(report))
    methods = (("aligned", report.aligned), ("regions", report.regions))
    rows = [_method_cells(name, method) for name, method in methods if method]
    if (whole := report.whole) is not None:
        deviation = f"{whole.deviation:+.1%} off windows + tails"
        rows.append(("whole burst", "", f"{whole.energy_mj:.3f}", "", "", "", deviation))
    if rows:
        columns = ("method", "found", "energy mJ", "± sd", "power mW", "time ms", "")
        print_table(columns, rows, right=columns[1:6])
    for line in _facts(report):
        print_line(line)
    print_line(f"verdict: {report.verdict}")
    for reason in report.reasons:
        print_line(f"  - {reason}")
    for note in report.notes:
        print_note(f"note: {note}")


def _headline(report: EnergyReport) -> str:
    low, high = report.interval_mj or (float("nan"), float("nan"))
    spread = "" if report.energy_sd_mj is None else f" ± {report.energy_sd_mj:.3f}"
    text = f"energy per inference: {report.energy_mj:.3f}{spread} mJ (95 %: {low:.3f} to {high:.3f}), {report.method}"
    if report.power_mw is not None and report.duration_ms is not None:
        text += f"; {report.power_mw:.0f} mW over {report.duration_ms:.2f} ms"
    if report.efficiency_percent_per_mj is not None:
        text += f"; {report.efficiency_percent_per_mj:.3f} top-1 %/mJ (accuracy as stated)"
    return text


def _method_cells(name: str, method: MethodEnergy) -> tuple[str, ...]:
    found = f"{method.found} of {method.wanted}"
    if not method.energies_mj:
        return name, found, "-", "-", "-", "-", ""
    return (
        name, found, f"{method.energy_mean_mj:.3f}", f"{method.energy_sd_mj:.3f}", f"{method.power_mean_mw:.0f}",
        f"{method.duration_mean_ms:.3f}", "",
    )  # fmt: skip


def _facts(report: EnergyReport) -> list[str]:
    lines = []
    if (background := report.background) is not None:
        idle = " and ".join(
            f"{level:.0f} mW {place}"
            for level, place in ((background.before_mw, "before"), (background.after_mw, "after"))
            if level is not None
        )
        lines.append(f"background: {background.during_mw:.0f} mW by the {background.method}; idle {idle or 'unknown'}")
    if (tail := report.tail) is not None:
        with_tail = "" if report.energy_with_tail_mj is None else f"; with tails {report.energy_with_tail_mj:.3f} mJ"
        lines.append(f"tail: {tail.tail_ms:.0f} ms{with_tail}; counted is {tail.convention}")
    if (found := report.alignment) is not None:
        residual = "unknown" if found.residual_ms is None else f"{found.residual_ms:.3f} ms"
        lines.append(
            f"alignment: drift {found.drift_ppm:+.1f} ppm, residual {residual}, "
            f"peak {found.peak_ratio:.2f} times the next"
        )
    trace = report.trace
    snr = "" if report.snr is None else f", signal to noise {report.snr:.1f}"
    lines.append(
        f"trace: {trace.meter}, {trace.seconds:.1f} s at {trace.rate_hz:g} Hz, {trace.lost_share:.2%} lost{snr}"
    )
    return lines


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
