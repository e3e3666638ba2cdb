"""``bench``: measure artifacts on devices, keep the records, print one table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from edgevit.errors import EdgevitExportError, UsageError, unknown_choice
from edgevit.records import atomic_path, failure_to_write, require_writable
from edgevit.text import encodable
from edgevit_export.commands.bench_watcher import ConsoleWatcher, in_words
from edgevit_export.commands.energy import parse_top1
from edgevit_export.commands.options import AsJson, Quiet, command_of, parse_counts, require_finite, split_list
from edgevit_export.console import (
    Progress,
    failure_of,
    print_error,
    print_line,
    print_note,
    print_records,
    print_table,
    print_text,
)

if TYPE_CHECKING:
    from runtimes.bench.measure import DeviceOutcome
    from runtimes.bench.record import DeviceRun
    from runtimes.bench.request import BenchRequest, Conditions, MeterRequest
    from runtimes.runners.runner import Subject
    from validation.energy.report import EnergyReport

DEFAULT_RESULTS = Path("results")


@dataclass(frozen=True)
class BenchOptions:
    """What stands on the command line."""

    # fmt: off
    artifacts: Annotated[list[Path], typer.Argument(help="Artifacts, their manifests, or directories of them.")]
    device: Annotated[list[str] | None, typer.Option("--device", "-d", help="Serial, HOST:PORT, host, all; repeatable.")] = None
    runs: Annotated[int, typer.Option(min=1, help="Timed forward passes per artifact, over all rounds; energy: bursts.")] = 50
    rounds: Annotated[int, typer.Option(min=1, help="Parts that the runs are split in; artifacts take turns.")] = 5
    warmup: Annotated[int, typer.Option(min=0, help="Untimed forward passes before each round.")] = 10
    gap: Annotated[float | None, typer.Option(min=0.0, help="Pause between forward passes in ms.  [default: 0; energy: 250 on average, or more]")] = None
    threads: Annotated[str, typer.Option(help="Thread counts, e.g. 1,2,4.")] = "1"
    affinity: Annotated[str | None, typer.Option(help="Cores: big, little, numbers (1, 4-7, 0,4) or a mask (0xf0).")] = None
    max_temp: Annotated[float | None, typer.Option(help="Highest temperature to start a round at, in °C.")] = None
    cooldown: Annotated[float | None, typer.Option(min=0.0, help="Longest wait for that temperature, in s.  [default: 300]")] = None
    fixed_performance: Annotated[bool, typer.Option(help="Android's fixed performance mode while measuring.")] = False
    runner: Annotated[str, typer.Option(help="auto, python, native, native-glibc, tool, or the path of a tool's binary.")] = "auto"
    tools_dir: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="Directory with TOOLS_DIR/<abi>/<tool>.")] = None
    python: Annotated[str | None, typer.Option(help="The python3 on the device.")] = None
    timeout: Annotated[float, typer.Option(min=1.0, help="Longest time for one round of one artifact, in s.")] = 600.0
    adb_server: Annotated[str | None, typer.Option(help="HOST:PORT of an adb server elsewhere.")] = None
    remote_dir: Annotated[str | None, typer.Option(help="Directory on the device for this program's files.")] = None
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the records.")] = DEFAULT_RESULTS
    resume: Annotated[bool, typer.Option("--resume", help="Continue; skip what is finished.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be executed, and do nothing.")] = False
    replay: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Play a recorded session back instead of using a device.")] = None
    record: Annotated[Path | None, typer.Option(help="Record the session with the device, for --replay.")] = None
    as_json: AsJson = False
    quiet: Quiet = False
    csv: Annotated[Path | None, typer.Option(help="Also write all numbers to this CSV file.")] = None
    markdown: Annotated[Path | None, typer.Option(help="Also write the table to this Markdown file.")] = None
    energy: Annotated[str | None, typer.Option(help="Also measure energy, with a meter that `energy meters` lists.")] = None
    burst: Annotated[int | None, typer.Option(min=1, help="Energy: forward passes per burst, for short models.  [default: what the meter needs]")] = None
    burst_factors: Annotated[str | None, typer.Option(help="Energy: bursts of so many times that, as often each, at random; 1 for one length.  [default: 1,3]")] = None
    gap_spread: Annotated[float | None, typer.Option(help="Energy: gaps vary at random by this share of --gap, up and down; 0 for constant ones.  [default: 0.6]")] = None
    controls: Annotated[int | None, typer.Option(min=0, help="Energy: times between bursts when the runner wakes and does not run the model; 0 for none.  [default: 10, at most --runs / 2]")] = None
    schedule_seed: Annotated[int | None, typer.Option(min=0, help="Energy: seed of what is random in it.  [default: 0]")] = None
    idle: Annotated[float | None, typer.Option(min=2.0, help="Energy: least idle before and after the run in s.  [default: 4]")] = None
    meter_serial: Annotated[str | None, typer.Option(help="Energy: serial number of the Monsoon.")] = None
    vout: Annotated[float | None, typer.Option(help="Energy: voltage that the Monsoon is to set; otherwise untouched.")] = None
    rails: Annotated[str | None, typer.Option(help="Energy: power rails to add up, comma-separated.")] = None
    top1: Annotated[list[str] | None, typer.Option(help="Energy: top-1 in percent, or FILE=PERCENT, for %/mJ.")] = None
    # fmt: on


def bench(options: BenchOptions) -> None:
    r"""Measure artifacts on a device: push, run in rounds, pull, verify the outputs, report.

    \b
    Without --device: the only attached device, else this machine.
    Exit code 1 when a result failed, 4 when a device or its meter did.
    """
    from edgevit_export.workflows.bench import Bench, open_devices
    from edgevit_export.workflows.subjects import find_subjects
    from runtimes.conditions.lease import ending_sessions_on_signals

    request = request_of(options)
    _check_files(options)
    subjects = find_subjects(options.artifacts)
    _require_own_top1(request.meter, subjects.subjects)
    devices = open_devices(
        tuple(split_list(options.device)), adb_server=options.adb_server, remote_dir=options.remote_dir,
        replay=options.replay, record=options.record,
    )  # fmt: skip
    progress, told = Progress(), set[str]()

    def watcher_of(serial: str) -> ConsoleWatcher:
        return ConsoleWatcher(serial, progress, told, bars=len(devices) == 1)

    work = Bench(subjects, request, options.output, watcher_of, options.record, options.dry_run)
    with ending_sessions_on_signals():
        outcomes = work.run(devices, lambda: progress.note("stopping: every device ends the round that it is in"))
    if len(outcomes) == 1 and outcomes[0].error is not None and not outcomes[0].runs:
        raise outcomes[0].error
    runs = [run for outcome in outcomes for run in outcome.runs]
    if options.dry_run:
        _print_plans(outcomes, as_json=options.as_json)
        code = max((run.failure.exit_code for run in runs if run.failure is not None), default=0)
    else:
        errors = [outcome.error for outcome in outcomes if outcome.error is not None]
        places = {outcome.serial: outcome.directory for outcome in outcomes if outcome.directory is not None}
        code = print_runs(runs, options, errors, places, told)
    for outcome in outcomes:
        if outcome.error is not None:
            print_error(outcome.error)
            code = max(code, outcome.error.exit_code)
    if code:
        raise typer.Exit(code)


command = command_of(BenchOptions, bench)


def _require_own_top1(meter: MeterRequest | None, subjects: Sequence[Subject]) -> None:
    """Refuse one accuracy for files that round and files that do not.

    Raises:
        UsageError: The same figure was stated for several precisions.
    """
    if meter is None or "" not in meter.top1:
        return
    told = [each.recipe for each in subjects if each.name not in meter.top1 and each.recipe is not None]
    precisions = dict.fromkeys(recipe.precision_words for recipe in told)
    if len(precisions) > 1:
        raise UsageError(
            f"--top1 {meter.top1['']:g} for files in {', '.join(precisions)}: each precision has its own accuracy",
            hint="state it by file: --top1 FILE=PERCENT",
        )


def _check_files(options: BenchOptions) -> None:
    """Refuse before anything is measured a file that could not be written after it.

    Raises:
        UsageError: It cannot be written, or nothing would be written into it.
    """
    files = {"--csv": options.csv, "--markdown": options.markdown, "--record": options.record}
    for option, path in files.items():
        if path is not None and options.dry_run:
            raise UsageError(f"{option} with --dry-run: nothing is measured", hint=f"leave out {option}")
        if path is not None:
            require_writable(path)


def request_of(options: BenchOptions) -> BenchRequest:
    """What the options ask for.

    Raises:
        UsageError: Options that contradict each other, or are no numbers.
    """
    from runtimes.bench.request import BenchRequest
    from runtimes.runners.choose import require_taken
    from runtimes.runners.workload import Workload

    tools_dir = str(options.tools_dir) if options.tools_dir else None
    require_taken(options.runner, python=options.python, tools_dir=tools_dir)
    return BenchRequest(
        workload=Workload(
            runs=options.runs, rounds=options.rounds, warmup=options.warmup, gap_ms=options.gap, burst=options.burst,
            gap_spread=options.gap_spread, burst_factors=parse_factors(options.burst_factors),
            controls=options.controls, seed=options.schedule_seed, affinity=options.affinity, timeout_s=options.timeout,
        ),
        threads=parse_threads(options.threads),
        conditions=_conditions_of(options),
        meter=_meter_of(options),
        runner=options.runner,
        tools_dir=tools_dir,
        python=options.python,
        resume=options.resume,
    )  # fmt: skip


def _conditions_of(options: BenchOptions) -> Conditions:
    from runtimes.bench.request import Conditions

    if options.cooldown is not None and options.max_temp is None:
        raise UsageError("--cooldown without --max-temp: nothing is waited for", hint="add --max-temp 40")
    require_finite(max_temp=options.max_temp, cooldown=options.cooldown)
    asked = Conditions(max_temp_c=options.max_temp, fixed_performance=options.fixed_performance)
    return asked if options.cooldown is None else msgspec.structs.replace(asked, cooldown_s=options.cooldown)


def parse_threads(text: str) -> tuple[int, ...]:
    """``1,2,4`` as numbers.

    Raises:
        UsageError: Not positive numbers.
    """
    return tuple(dict.fromkeys(parse_counts("--threads", text, example="1,2,4")))


def parse_factors(text: str | None) -> tuple[int, ...] | None:
    """``1,3`` as numbers; None stays None.

    Raises:
        UsageError: Not positive numbers.
    """
    return None if text is None else parse_counts("--burst-factors", text, example="1,3")


def _meter_of(options: BenchOptions) -> MeterRequest | None:
    from runtimes.bench.request import MeterRequest
    from runtimes.power.meter import MeterOptions
    from runtimes.power.meters import METERS

    details = {
        "--burst": options.burst, "--burst-factors": options.burst_factors, "--gap-spread": options.gap_spread,
        "--controls": options.controls, "--schedule-seed": options.schedule_seed, "--idle": options.idle,
        "--meter-serial": options.meter_serial, "--vout": options.vout, "--rails": options.rails, "--top1": options.top1,
    }  # fmt: skip
    if options.energy is None:
        if given := [option for option, value in details.items() if value is not None]:
            raise UsageError(f"{', '.join(given)} without --energy", hint="add --energy monsoon, or another meter")
        return None
    conflicts = {"--replay": options.replay, "--record": options.record}
    if given := [option for option, value in conflicts.items() if value]:
        raise UsageError(f"--energy with {', '.join(given)}: energy is only measured on a device that is there")
    if options.energy not in METERS:
        raise unknown_choice("energy meter", options.energy, METERS)
    rails = tuple(split_list([options.rails])) if options.rails else None
    told = MeterOptions(serial=options.meter_serial, volts=options.vout, rails=rails)
    top1 = parse_top1(options.top1) or {}
    request = MeterRequest(name=options.energy, options=told, top1=top1)
    return request if options.idle is None else msgspec.structs.replace(request, idle_s=options.idle)


def _print_plans(outcomes: Sequence[DeviceOutcome], *, as_json: bool) -> None:
    plans = [outcome.plan for outcome in outcomes if outcome.plan is not None]
    if as_json:
        errors = [failure_of(outcome.error) for outcome in outcomes if outcome.error is not None]
        print_records(plans=plans, errors=errors)
        return
    for plan in plans:
        for line in plan.lines():
            print_line(line)


def print_runs(
    runs: Sequence[DeviceRun],
    options: BenchOptions,
    errors: Sequence[EdgevitExportError] = (),
    places: Mapping[str, Path] = MappingProxyType({}),
    told: Collection[str] = (),
) -> int:
    """Judge and print records: table or JSON to stdout, reasons to stderr, CSV and Markdown to files.

    JSON holds the latency reports, the energy reports, and as ``errors`` what ended devices or could not be written. ``places`` are the
    directories of the records, by serial, where they may not be below ``--output``. ``told`` are the failures that the
    reader has before the eyes already.

    Returns:
        The exit code that the records stand for: 1 for a wrong or unverified result, else that of what failed.
    """
    from validation.energy.tables import ENERGY_RIGHT, energy_table
    from validation.latency import tables
    from validation.latency.analysis import judge_run

    reports = [judge_run(run) for run in runs]
    columns, rows = tables.latency_table(reports)
    meter = _meter_of(options)
    judged = [] if meter is None else _judge_energies(runs, options.output, places, meter)
    files = (
        (options.csv, tables.latency_csv(reports)),
        (options.markdown, tables.markdown(columns, rows, tables.LATENCY_RIGHT)),
    )
    tried = [failure_to_write(path, partial(_save_text, text)) for path, text in files if path is not None]
    unwritten = [error for error in tried if error is not None]
    if options.as_json:
        print_records(latency=reports, energy=judged, errors=[failure_of(error) for error in (*errors, *unwritten)])
    else:
        print_table(
            columns, rows, right=tables.LATENCY_RIGHT, alike=tables.LATENCY_ALIKE, names=tables.LATENCY_NAMES,
        )  # fmt: skip
        if judged:
            print_line()
            energy_columns, energy_rows = energy_table(judged)
            print_table(energy_columns, energy_rows, right=ENERGY_RIGHT)
            print_text("± is half of a 95 % interval")
    failures = [failure for run in runs for failure in (run.failure, run.energy_failure) if failure is not None]
    wrong = not all([*(report.passed for report in reports), *(energy.passed for energy in judged)])
    code = max([int(wrong), *(each.exit_code for each in (*failures, *unwritten))])
    for line in (*tables.reason_lines(reports, told), *_energy_lines(runs, judged, told)):
        print_note(line, is_error=code != 0)
    for error in unwritten:
        print_error(error)
    return code


def _judge_energies(
    runs: Sequence[DeviceRun], output: Path, places: Mapping[str, Path], meter: MeterRequest
) -> list[EnergyReport]:
    from runtimes.bench.record import record_directory
    from validation.energy.judge import judge_energy

    judged = (
        judge_energy(
            run,
            places.get(run.device) or record_directory(output, run.device),
            top1_percent=meter.top1_of(run.artifact.name),
        )
        for run in runs
    )
    return [energy for energy in judged if energy is not None]


def _energy_lines(runs: Sequence[DeviceRun], judged: Sequence[EnergyReport], told: Collection[str]) -> list[str]:
    """Reasons and notes, then why there is no energy, unless that was ``told``."""
    reasons = [f"{_name(energy)}: {reason}" for energy in judged for reason in (*energy.reasons, *energy.notes)]
    failures = [run.energy_failure for run in runs if run.energy_failure is not None]
    return reasons + [f"no energy: {in_words(failure)}" for failure in failures if failure.message not in told]


def _name(energy: EnergyReport) -> str:
    if (subject := energy.subject) is None:
        return ""
    return f"{subject.artifact} on {subject.device}, {subject.threads} thread{'s' if subject.threads != 1 else ''}"


def _save_text(text: str, path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(encodable(text), encoding="utf-8")
